"""How a mount ends: unmounted in every way there is, or left behind by a daemon that died."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from djafs.mounting.mountpoints import mount_at
from rig.command import djafs, djafs_ok, refused
from rig.daemons import alive, daemons_of
from rig.mount import Mount, assert_unlocked
from rig.waiting import wait_until

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
