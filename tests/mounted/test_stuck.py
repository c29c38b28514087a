"""Daemons that are stopped, packers that are killed, clocks that jump, mounts that are in use."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from conftest import MountStore
from rig.command import djafs
from rig.mount import Mount
from rig.waiting import wait_until

DAY = 86400


def test_a_second_mount_of_a_store_is_refused(mounted: Mount, tmp_path: Path):
    (mounted.live / "a").write_bytes(b"content")
    other = tmp_path / "other"
    other.mkdir()
    done = djafs("mount", mounted.storage, other)
    assert done.returncode == 8
    assert "in use" in done.stderr
    assert (mounted.live / "a").read_bytes() == b"content"


def test_a_lock_that_was_left_behind(mounted: Mount):
    (mounted.live / "a").write_bytes(b"content")
    mounted.unmount()
    (mounted.storage / "lock").write_text("1 serving\n")  # process 1 lives, and holds nothing
    mounted.start()
    assert (mounted.live / "a").read_bytes() == b"content"


def test_a_daemon_that_was_stopped_goes_on(mounted: Mount):
    (mounted.live / "a").write_bytes(b"content")
    mounted.signal(signal.SIGSTOP)
    threads = [
        threading.Thread(target=(mounted.live / f"{n}").write_bytes, args=[b"%d" % n])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    mounted.signal(signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert sorted(os.listdir(mounted.live)) == ["0", "1", "2", "3", "a"]


def children(process: int) -> list[int]:
    """Return the processes that any thread of a process has started."""
    found: list[int] = []
    for listing in Path(f"/proc/{process}/task").glob("*/children"):
        found += map(int, listing.read_text().split())
    return found


def test_a_packer_that_is_killed(mount_store: MountStore):
    mount = mount_store("--gc-interval=86400", "--settle=0", "--compression-level=19")
    content = {f"{n}.json": os.urandom(300_000) for n in range(60)}
    for name, data in content.items():
        (mount.live / name).write_bytes(data)
    done: list[object] = []

    def collect() -> None:
        done.append(djafs("gc", mount.mountpoint))

    thread = threading.Thread(target=collect)
    thread.start()
    wait_until(lambda: children(mount.pid), "the packer")
    for packer in children(mount.pid):
        os.kill(packer, signal.SIGKILL)
    thread.join(60)
    assert {path.name: path.read_bytes() for path in mount.live.iterdir()} == content
    assert not [n for n in os.listdir(mount.storage / "archives") if n.endswith(".tmp")]
    mount.gc()
    assert {path.name: path.read_bytes() for path in mount.live.iterdir()} == content
    assert len(os.listdir(mount.storage / "archives")) == 2


def test_a_clock_that_is_set_back_and_ahead(mount_store: MountStore, tmp_path: Path):
    mount = mount_store("--gc-interval=86400", "--settle=0")
    mount.unmount()
    clock = tmp_path / "clock"
    mount.program = [sys.executable, "-m", "djafs.testing.daemon"]
    mount.environment = {"DJAFS_TEST_CLOCK": os.fspath(clock)}
    clock.write_text("0")
    mount.start()
    written = {}
    for turn, wrong in enumerate((0, DAY, 0, -DAY, 0, 3 * DAY, -DAY)):
        draft = tmp_path / "draft"
        draft.write_text(str(wrong))
        draft.rename(clock)
        for name in ("same", f"new-{turn}"):
            content = b"%s in turn %d" % (name.encode(), turn)
            (mount.live / name).write_bytes(content)
            written[name] = content
        os.rename(mount.live / f"new-{turn}", mount.live / "renamed")
        written["renamed"] = written.pop(f"new-{turn}")
        mount.gc()
    days = [path for path in mount.snapshots.glob("*/*/*") if path.is_dir()]
    assert days
    for day in days:
        for path in day.iterdir():
            assert path.read_bytes()
    mount.kill9()
    mount.start()
    assert {path.name: path.read_bytes() for path in mount.live.iterdir()} == written


def test_an_unmount_while_files_are_open(mounted: Mount):
    with open(mounted.live / "a", "wb", buffering=0) as file:
        file.write(b"content")
        done = djafs("umount", mounted.mountpoint)
        assert done.returncode == 8
        assert "busy" in done.stderr or "in use" in done.stderr
        file.write(b", and more")
    assert (mounted.live / "a").read_bytes() == b"content, and more"
    mounted.unmount()
    mounted.start()
    assert (mounted.live / "a").read_bytes() == b"content, and more"
