"""djafs mount, as an administrator meets it: starting, and what is refused."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from djafs.mounting.mountpoints import mount_at
from rig.command import DJAFS, djafs, djafs_ok, refused
from rig.daemons import daemons_of
from rig.mount import assert_unlocked
from rig.unprivileged import as_nobody
from rig.waiting import wait_until

# --- starting -----------------------------------------------------------------------------------


def test_returns_when_the_mount_answers(store: Path, mnt: Path):
    """The output is a pipe here: a daemon that held it open would keep this from returning."""
    done = djafs("mount", store, mnt)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(os.listdir(mnt)) == ["live", "snapshots"]
    (mnt / "live" / "a.json").write_text("{}")
    djafs_ok("umount", mnt)
    assert os.listdir(mnt) == []
    djafs_ok("mount", store, mnt)
    assert (mnt / "live" / "a.json").read_text() == "{}"
    djafs_ok("umount", mnt)


def test_mount_lists_it(store: Path, mnt: Path):
    djafs_ok("mount", store, mnt)
    listing = subprocess.run(["mount"], capture_output=True, text=True, check=True).stdout
    line = next(line for line in listing.splitlines() if f" on {mnt} " in line)
    assert line.startswith(f"{store} on {mnt} type fuse.djafs (")
    flags = line[line.rindex("(") + 1 : -1].split(",")
    assert "default_permissions" in flags
    assert ("allow_other" in flags) == (os.geteuid() == 0)
    djafs_ok("umount", mnt)


def test_ps_shows_djafs(store: Path, mnt: Path):
    djafs_ok("mount", store, mnt)
    (daemon,) = daemons_of(store)
    process = Path(f"/proc/{daemon}")
    assert (process / "comm").read_text() == "djafs\n"
    for thread in (process / "task").iterdir():
        assert (thread / "comm").read_text() == "djafs\n"
    title = (process / "cmdline").read_bytes().rstrip(b"\0").decode()
    assert title.rstrip() == f"djafs: {store} on {mnt}"
    djafs_ok("umount", mnt)


def test_the_daemon_stands_on_its_own(store: Path, mnt: Path):
    """Nothing of the shell that started it is kept: session, directory, terminal."""
    djafs_ok("mount", store, mnt)
    (daemon,) = daemons_of(store)
    process = Path(f"/proc/{daemon}")
    assert os.getsid(daemon) == daemon
    assert os.readlink(process / "cwd") == "/"
    for descriptor in "012":
        assert os.readlink(process / "fd" / descriptor) == "/dev/null"
    djafs_ok("umount", mnt)


def test_relative_and_linked_paths(store: Path, mnt: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to("mnt")
    assert djafs("mount", "store", "link", cwd=tmp_path).returncode == 0
    mount = mount_at(str(mnt))
    assert mount is not None
    assert mount.source == str(store)
    assert djafs("umount", "link", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    "name",
    [b"a b", b"a,b=c", b"a\\b", b"a\nb\tc", b"-f", b"a#b", b"\xff\xc3\xa4", b"%s", b"'\"$x"],
    ids=ascii,
)
def test_paths_with_odd_names(tmp_path: Path, mnt: Path, name: bytes):
    store = tmp_path / f"store {os.fsdecode(name)}"
    place = tmp_path / "below" / os.fsdecode(name)
    place.mkdir(parents=True)
    djafs_ok("mount", "--", store, place)
    mount = mount_at(str(place))
    assert mount is not None
    assert (mount.type, mount.source) == ("fuse.djafs", str(store))
    (place / "live" / os.fsdecode(name)).write_text("{}")
    djafs_ok("umount", "--", place)
    assert_unlocked(store)
    assert djafs("validate", "-p", store).returncode == 0


def test_messages_go_to_the_log_file(store: Path, mnt: Path, tmp_path: Path):
    djafs_ok("mount", "--log-file", tmp_path / "log", store, mnt)
    assert (tmp_path / "log").exists()
    djafs_ok("umount", mnt)


def test_a_log_file_that_cannot_be_written(store: Path, mnt: Path, tmp_path: Path):
    line = refused("--log-file", tmp_path / "no" / "log", store, mnt)
    assert line == f"cannot write the log file {tmp_path}/no/log: No such file or directory"
    assert mount_at(str(mnt)) is None


def test_the_foreground_stays(store: Path, mnt: Path):
    daemon = subprocess.Popen(
        [*DJAFS, "mount", "--foreground", store, mnt],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: mount_at(str(mnt)) and (mnt / "live").is_dir(), "the mount")
    assert daemon.poll() is None
    daemon.send_signal(signal.SIGINT)
    out, _ = daemon.communicate(timeout=30)
    assert (daemon.returncode, out) == (0, "")
    assert_unlocked(store)


def test_an_interrupted_mount_leaves_nothing(store: Path, mnt: Path):
    """Ctrl-C while the daemon waits for a store that another one is closing."""
    store.mkdir()
    with open(store / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("1 closing\n")
        lock.flush()
        command = subprocess.Popen([*DJAFS, "mount", store, mnt], stderr=subprocess.PIPE)
        wait_until(lambda: daemons_of(store), "the daemon")
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
        assert (command.returncode, said) == (130, b"")
        assert daemons_of(store) == []
    assert mount_at(str(mnt)) is None


def test_other_users_may_enter_as_far_as_modes_allow(store: Path, mnt: Path, tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("only root lets others in without a change to /etc/fuse.conf")
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(above.stat().st_mode | 0o055)
    djafs_ok("mount", store, mnt)
    open_file, closed_file = mnt / "live" / "open", mnt / "live" / "closed"
    open_file.write_text("{}")
    closed_file.write_text("{}")
    open_file.chmod(0o644)
    closed_file.chmod(0o600)
    assert as_nobody(open_file.read_text) == "{}"
    with pytest.raises(PermissionError):
        as_nobody(closed_file.read_text)
    djafs_ok("umount", mnt)


def test_without_allow_other_nobody_else_enters(store: Path, mnt: Path, tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(above.stat().st_mode | 0o055)
    djafs_ok("mount", "--no-allow-other", store, mnt)
    with pytest.raises(PermissionError):
        as_nobody(lambda: os.listdir(mnt))
    djafs_ok("umount", mnt)


# --- refusals -----------------------------------------------------------------------------------


def test_refuses_a_mountpoint_that_is_not_empty(store: Path, mnt: Path):
    (mnt / "file").touch()
    assert f"{mnt} is not empty: it holds file" in refused(store, mnt)
    assert not store.exists()


def test_refuses_a_mountpoint_that_is_missing(store: Path, mnt: Path):
    assert refused(store, mnt / "no").startswith(f"mountpoint {mnt}/no does not exist")


def test_refuses_store_and_mountpoint_in_each_other(store: Path, mnt: Path, tmp_path: Path):
    assert refused(mnt / "store", mnt) == f"the store {mnt}/store lies inside the mountpoint {mnt}"
    assert refused(tmp_path, mnt) == f"the mountpoint {mnt} lies inside the store {tmp_path}"
    (tmp_path / "link").symlink_to(mnt)
    assert "lies inside the mountpoint" in refused(tmp_path / "link" / "store", mnt)
    assert mount_at(str(mnt)) is None


def test_refuses_the_same_mount_twice(store: Path, mnt: Path):
    djafs_ok("mount", store, mnt)
    assert refused(store, mnt) == f"{store} is already mounted on {mnt}"
    (mnt / "live" / "a").write_text("still there")
    djafs_ok("umount", mnt)


def test_refuses_a_mountpoint_that_another_store_has(store: Path, mnt: Path, tmp_path: Path):
    djafs_ok("mount", store, mnt)
    line = refused(tmp_path / "other", mnt)
    assert line.startswith(f"{store} (type fuse.djafs) is mounted on {mnt};")
    assert not (tmp_path / "other").exists()
    djafs_ok("umount", mnt)


def test_refuses_a_store_that_is_mounted_elsewhere(store: Path, mnt: Path, tmp_path: Path):
    djafs_ok("mount", store, mnt)
    (tmp_path / "second").mkdir()
    assert str(store) in refused(store, tmp_path / "second")
    assert mount_at(str(tmp_path / "second")) is None
    (mnt / "live" / "a").write_text("still there")
    djafs_ok("umount", mnt)


def test_refuses_a_directory_that_is_no_store(mnt: Path, tmp_path: Path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.json").write_text("{}")
    assert str(tmp_path / "documents") in refused(tmp_path / "documents", mnt)
    assert os.listdir(tmp_path / "documents") == ["a.json"]
    assert mount_at(str(mnt)) is None


def test_refuses_a_store_of_a_newer_format(store: Path, mnt: Path):
    djafs_ok("mount", store, mnt)
    djafs_ok("umount", mnt)
    identity = store / "djafs.json"
    as_made = identity.read_text()
    fields = json.loads(as_made)
    identity.write_text(json.dumps({**fields, "format": fields["format"] + 1, "new": {}}))
    assert "install a newer djafs" in refused(store, mnt)
    identity.write_text(as_made)


def test_refuses_another_time_zone_than_the_store_has(store: Path, mnt: Path):
    djafs_ok("mount", "--time-zone", "Europe/Berlin", store, mnt)
    djafs_ok("umount", mnt)
    done = djafs("mount", "--time-zone", "Asia/Tokyo", store, mnt)
    assert done.returncode == 16
    assert done.stderr.startswith(f"djafs: {store} counts its days in Europe/Berlin")
    djafs_ok("mount", "--time-zone", "Europe/Berlin", store, mnt)
    djafs_ok("umount", mnt)
    djafs_ok("mount", store, mnt)
    djafs_ok("umount", mnt)


def test_takes_a_fresh_volume_as_an_empty_directory(store: Path, mnt: Path):
    (store / "lost+found").mkdir(parents=True)
    djafs_ok("mount", store, mnt)
    djafs_ok("umount", mnt)
    assert (store / "lost+found").is_dir()


def test_takes_an_empty_directory_as_a_new_store(store: Path, mnt: Path):
    store.mkdir()
    djafs_ok("mount", store, mnt)
    djafs_ok("umount", mnt)
