"""A tree that was converted is the tree that is mounted, in every respect that rsync knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rig.command import djafs, djafs_ok
from rig.sources import differences, make_source, write
from rig.trees import at, files
from rig.waiting import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are for root")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source")


def test_what_is_mounted_afterwards_is_the_source(source, store, mount_store):
    said = djafs_ok("convert", "-i", source, "-o", store)
    assert "problem" not in said
    mount = mount_store("--gc-interval=86400")
    assert differences(source, mount.live) == ""
    assert not (mount.live / "lost+found").exists()
    assert mount.gc()["files"] == 0, "content went through the hot cache"


def test_snapshots_show_the_history_by_modification_time(source, store, mount_store):
    djafs_ok("convert", "-i", source, "-o", store)
    mount = mount_store()
    days = mount.snapshots / "2024/05"
    assert sorted(os.listdir(days)) == ["01", "02", "03"]
    assert sorted(os.listdir(days / "02/station")) == [
        "0-c", "1-c", "2-c", "2024-05-01", "2024-05-02",
    ]  # fmt: skip
    assert (days / "01/links/0-b").read_bytes() == b"linked 0"
    assert not (mount.snapshots / "2020/02/02/medium.json").exists()
    assert (mount.snapshots / "2020/02/02/large.json").stat().st_size == (17 << 20) + 3
    assert (mount.snapshots / "2018/08/08/empty directory/below").is_dir()


def change(source: Path) -> None:
    """Change something of each kind."""
    write(source / "station/2024-05-03/03.json", b"later", at(2024, 6, 7))
    write(source / "station/2024-06-08/00.json", b"new", at(2024, 6, 8))
    (source / "station/2024-05-01/00.json").chmod(0o600)
    os.unlink(source / "links/0-b")
    write(source / "links/0-b", b"of its own", at(2024, 6, 9))
    os.unlink(source / "links/1-a")
    os.link(source / "links/2-a", source / "links/1-a")
    os.unlink(source / "symlink again")
    os.symlink("elsewhere", source / "symlink again")
    os.unlink(source / "empty")
    (source / "empty").mkdir()
    write(source / "empty/inside", b"a directory now", at(2024, 6, 9))
    os.rmdir(source / "empty directory/below")
    write(source / "empty directory/below", b"a file now", at(2024, 6, 9))
    os.setxattr(source / "medium.json", "user.note", b"another")
    os.unlink(source / "fifo")
    with open(source / "large.json", "ab") as large:
        large.write(b"appended")


def test_a_second_run_brings_what_has_changed(source, store, mount_store):
    djafs_ok("convert", "-i", source, "-o", store)
    change(source)
    before = files(store)
    dry = djafs_ok("convert", "--dry-run", "--delete", "-i", source, "-o", store)
    assert files(store) == before
    said = djafs_ok("convert", "--delete", "-i", source, "-o", store)
    for text in ("changed", "unchanged", "removed"):
        assert dry.split(text)[0].replace("would be ", "") == said.split(text)[0]
    assert "\n3 names removed" in said
    mount = mount_store()
    assert differences(source, mount.live) == ""
    snapshots = mount.snapshots
    assert (snapshots / "2024/05/03/station/2024-05-03/03.json").read_bytes() == b'{"hour": 1}'
    assert (snapshots / "2024/06/07/station/2024-05-03/03.json").read_bytes() == b"later"
    mount.unmount()
    again = djafs_ok("convert", "--delete", "-i", source, "-o", store)
    assert ": 0 new, 0 changed, " in again
    assert "removed" not in again


def test_what_rsync_brought_convert_finds_unchanged_and_the_reverse(source, store, mount_store):
    mount = mount_store("--gc-interval=86400")
    rsync = ["rsync", "-aHAX", "--exclude=/lost+found", f"{source}/", f"{mount.live}/"]
    subprocess.run(rsync, check=True, timeout=60)
    refused = djafs("convert", "-i", source, "-o", store)
    assert refused.returncode == 8
    assert "unmount it first" in refused.stderr
    mount.unmount()
    assert ": 0 new, 0 changed, " in djafs_ok("convert", "-i", source, "-o", store)
    assert ": 0 new, 0 changed, " in djafs_ok("convert", "--checksum", "-i", source, "-o", store)
    change(source)
    djafs_ok("convert", "--delete", "-i", source, "-o", store)
    mount.start()
    assert differences(source, mount.live) == ""


@needs_root
def test_a_mount_below_the_source_is_left_out_when_asked_to(source, store, tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "empty directory"], check=True)
    try:
        write(source / "empty directory/lost+found/x", b"", at(2024, 1, 1))
        write(source / "empty directory/there", b"there", at(2024, 1, 1))
        one = djafs_ok("convert", "--one-file-system", "-i", source, "-o", store)
        two = djafs_ok("convert", "-i", source, "-o", store)
    finally:
        subprocess.run(["umount", source / "empty directory"], check=True)
    assert ": 0 new" not in one
    assert ": 1 new" in two


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_goes_on_where_it_was(how, tmp_path, store, mount_store):
    source = tmp_path / "source"
    for number in range(3000):
        name = f"{number // 100:02}/{number % 100:02}.json"
        write(source / name, b'{"number": %d}' % number, at(2024, 1, 1 + number // 100))
    slow = (
        "import djafs.tools.convert.intake as intake, djafs.tools.convert.feed as feed\n"
        "import sys; from djafs.cli.main import main\n"
        "intake.MOST_CHANGES, feed.AHEAD = 200, 2\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", slow, "convert", "-i", source, "-o", store]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: list(store.glob("archives/*2.tar.zst")), "the second archive")
    process.send_signal(how)
    process.wait(60)
    assert process.returncode in {-signal.SIGKILL, 130, 0}
    djafs_ok("validate", "-p", store)
    said = djafs_ok("convert", "-i", source, "-o", store)
    assert "3,000 files" in said
    if how == signal.SIGKILL and process.returncode:
        assert " 0 unchanged" not in said
    mount = mount_store()
    assert differences(source, mount.live) == ""


def test_a_mounted_store_is_exported_as_it_is(source, mounted, tmp_path):
    subprocess.run(["rsync", "-aHAX", f"{source}/", f"{mounted.live}/"], check=True, timeout=60)
    os.rmdir(mounted.live / "empty directory/below")
    for number, path in enumerate((mounted.storage, mounted.live, mounted.snapshots / "latest")):
        djafs_ok("export", path, tmp_path / f"copy{number}")
        left = differences(mounted.live, tmp_path / f"copy{number}")
        assert left == ""
    djafs_ok("export", mounted.snapshots / "2024/05/02/station", tmp_path / "station")
    assert "2024-05-02" in os.listdir(tmp_path / "station")
    assert "2024-05-03" not in os.listdir(tmp_path / "station")
