"""djafs mount and djafs umount, as an administrator meets them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from djafs.mounting.mountpoints import mount_at
from rig.command import DJAFS, djafs, djafs_ok
from rig.daemons import alive, daemons_of, end_all_below
from rig.mount import Mount
from rig.unprivileged import as_nobody
from rig.waiting import wait_until


@pytest.fixture
def mnt(tmp_path: Path) -> Iterator[Path]:
    """An empty directory to mount on; whatever is mounted there goes in the end."""
    path = tmp_path / "mnt"
    path.mkdir()
    yield path
    end_all_below(tmp_path)


def refused(*arguments: object) -> str:
    """The one line with which djafs mount refuses."""
    done = djafs("mount", *map(os.fspath, arguments))
    assert done.returncode == 8, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("djafs: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("djafs: ").removesuffix("\n")


def assert_unlocked(store: Path) -> None:
    with open(store / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


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


# --- stale mounts -------------------------------------------------------------------------------


@pytest.fixture
def dead(mount_store: Callable[..., Mount]) -> Mount:
    """A mount whose daemon was killed, with one file in it."""
    mount = mount_store()
    (mount.live / "a.json").write_text('{"a": 1}')
    mount.kill9()
    with pytest.raises(OSError, match="endpoint is not connected") as caught:
        os.listdir(mount.mountpoint)
    assert caught.value.errno == errno.ENOTCONN
    return mount


def test_clears_its_own_stale_mount(dead: Mount):
    djafs_ok("mount", dead.storage, dead.mountpoint)
    assert (dead.live / "a.json").read_text() == '{"a": 1}'
    djafs_ok("umount", dead.mountpoint)
    assert mount_at(str(dead.mountpoint)) is None


def test_clears_its_own_stale_mount_while_a_shell_stands_in_it(
    mount_store: Callable[..., Mount],
):
    mount = mount_store()
    inside = os.open(mount.live, os.O_RDONLY)
    mount.kill9()
    try:
        djafs_ok("mount", mount.storage, mount.mountpoint)
    finally:
        os.close(inside)
    djafs_ok("umount", mount.mountpoint)


def test_refuses_the_stale_mount_of_another_store(dead: Mount, tmp_path: Path):
    line = refused(tmp_path / "other", dead.mountpoint)
    assert line == (
        f"a dead mount of {dead.storage} (type fuse.djafs) is at {dead.mountpoint};"
        f" clear it with: fusermount3 -uz {dead.mountpoint}"
    )


def test_umount_clears_a_stale_mount(dead: Mount):
    done = djafs("umount", dead.mountpoint)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"djafs: the daemon had died; the next mount of {dead.storage} recovers it\n"
    )
    assert mount_at(str(dead.mountpoint)) is None


# --- ending -------------------------------------------------------------------------------------

ENDINGS: dict[str, Callable[[Mount], object]] = {
    "fusermount3 -u": lambda mount: subprocess.run(
        ["fusermount3", "-u", mount.mountpoint], check=True
    ),
    "umount": lambda mount: subprocess.run(["umount", mount.mountpoint], check=True),
    "djafs umount": lambda mount: djafs_ok("umount", mount.mountpoint),
    "SIGTERM": lambda mount: mount.signal(signal.SIGTERM),
    "SIGINT": lambda mount: mount.signal(signal.SIGINT),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_ends_gracefully(mounted: Mount, ending: str):
    (mounted.live / "a.json").write_text("{}")
    ENDINGS[ending](mounted)
    mounted.wait_for_end()
    assert mount_at(str(mounted.mountpoint)) is None
    mounted.start()
    assert (mounted.live / "a.json").read_text() == "{}"


def test_umount_returns_only_when_the_store_is_unlocked(store: Path, mnt: Path):
    for _ in range(5):
        djafs_ok("mount", store, mnt)
        for number in range(50):
            (mnt / "live" / f"{number}.json").write_text("{}")
        djafs_ok("umount", mnt)
        assert_unlocked(store)


def test_a_mount_waits_for_the_daemon_that_is_closing(store: Path, mnt: Path):
    for _ in range(5):
        djafs_ok("mount", store, mnt)
        (mnt / "live" / "a.json").write_text("{}")
        subprocess.run(["fusermount3", "-u", mnt], check=True)
    djafs_ok("mount", store, mnt)
    djafs_ok("umount", mnt)


def test_umount_says_how_to_find_who_uses_the_mount(mounted: Mount):
    with open(mounted.live / "a.json", "w"):
        done = djafs("umount", mounted.mountpoint)
        assert done.returncode == 8
        assert done.stderr == (
            f"djafs: {mounted.mountpoint} is in use; find the users with:"
            f" fuser -vm {mounted.mountpoint} (or: lsof {mounted.mountpoint})\n"
        )
    assert (mounted.live / "a.json").exists()


def test_umount_of_what_is_no_djafs(tmp_path: Path):
    done = djafs("umount", tmp_path)
    assert (done.returncode, done.stderr) == (8, f"djafs: nothing is mounted on {tmp_path}\n")
    done = djafs("umount", "/proc")
    assert (done.returncode, done.stderr) == (
        8,
        "djafs: proc (type proc) is mounted on /proc, not a djafs store\n",
    )


def test_umount_gives_up_on_a_daemon_that_does_not_close(store: Path, mnt: Path):
    djafs_ok("mount", store, mnt)
    (daemon,) = daemons_of(store)
    os.kill(daemon, signal.SIGSTOP)
    try:
        done = djafs("umount", "--timeout", "0.1", mnt)
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert done.returncode == 8
    assert f"its daemon still holds {store}" in done.stderr
    wait_until(lambda: not alive(daemon), "the daemon to end after all")
    assert_unlocked(store)


# --- counting -----------------------------------------------------------------------------------


def test_count_in_a_mount_is_what_find_counts(mounted: Mount):
    for number in range(30):
        directory = mounted.live / f"station-{number % 7}"
        directory.mkdir(exist_ok=True)
        (directory / f"{number}.json").write_text(str(number))
    (mounted.live / "link").symlink_to("station-0")
    os.link(mounted.live / "station-0" / "0.json", mounted.live / "again")
    for path in (
        mounted.live,
        mounted.live / "station-0",
        mounted.live / "link",
        mounted.live / "again",
        mounted.snapshots / "latest",
        mounted.mountpoint,
    ):
        found = subprocess.run(["find", path, "-type", "f"], capture_output=True, check=True)
        assert djafs_ok("count", path) == f"{len(found.stdout.splitlines())}\n"
