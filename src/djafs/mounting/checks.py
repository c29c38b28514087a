"""What ``djafs mount`` refuses before anything starts, and the stale mount that it clears.

Whether the store itself can be used (locked, newer, something else) is for
:mod:`djafs.store` to say; here it is about the mountpoint and the machine.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import time

from djafs.disk import parity
from djafs.disk.layout import Layout
from djafs.errors import MountError
from djafs.mounting.mountpoints import Mount, mount_at, mounts, probe
from djafs.mounting.options import MountOptions
from djafs.mounting.unmounting import POLL_SECONDS, detach, is_locked, open_lock
from djafs.store.identity import check_time_zone

DEVICE = "/dev/fuse"
FUSE_CONFIGURATION = "/etc/fuse.conf"
PROBE_SECONDS = 5.0
"""A killed daemon needs a moment to die: until then its mount gives no answer."""

ENDING_SECONDS = 5.0
"""How long a daemon whose mount has gone may take to notice that it has."""


def check(options: MountOptions) -> None:
    """Raise DjafsError when the mount cannot work; clear a stale mount of the same store."""
    _check_machine()
    if options.parity:
        parity.program()
    _check_mountpoint_is_free(options)
    _check_mountpoint_is_an_empty_directory(options.mountpoint)
    _check_no_overlap(options.storage, options.mountpoint)
    if options.allow_other and os.geteuid() != 0:
        _check_others_may_be_allowed()
    if options.time_zone is not None:
        check_time_zone(Layout(options.storage), options.time_zone)
    _wait_for_a_daemon_that_ends(options.storage)


def _check_machine() -> None:
    if shutil.which("fusermount3") is None:
        raise MountError("fusermount3 is missing; install it with: apt install fuse3")
    if not os.path.exists(DEVICE):
        raise MountError(
            f"{DEVICE} is missing; install it with: apt install fuse3"
            " (if it is installed: modprobe fuse; in a container: --device /dev/fuse)"
        )


def _check_mountpoint_is_free(options: MountOptions) -> None:
    """Refuse a place where something is mounted, but for a dead mount of the same store."""
    while (mount := mount_at(options.mountpoint)) is not None:
        dead = probe(options.mountpoint, PROBE_SECONDS) == errno.ENOTCONN
        if not dead:
            raise MountError(_refusal_of_live(mount, options))
        if not (mount.is_djafs and mount.source == options.storage):
            raise MountError(
                f"a dead mount of {mount.source} (type {mount.type}) is at {mount.mountpoint};"
                f" clear it with: fusermount3 -uz {shlex.quote(mount.mountpoint)}"
            )
        detach(options.mountpoint, lazily=True)


def _refusal_of_live(mount: Mount, options: MountOptions) -> str:
    if mount.is_djafs and mount.source == options.storage:
        return f"{mount.source} is already mounted on {mount.mountpoint}"
    return (
        f"{mount.source} (type {mount.type}) is mounted on {mount.mountpoint};"
        " unmount it, or choose another mountpoint"
    )


def _check_mountpoint_is_an_empty_directory(mountpoint: str) -> None:
    try:
        with os.scandir(mountpoint) as entries:
            occupied = next(entries, None)
    except FileNotFoundError:
        raise MountError(
            f"mountpoint {mountpoint} does not exist;"
            f" create it with: mkdir {shlex.quote(mountpoint)}"
        ) from None
    except NotADirectoryError:
        raise MountError(f"mountpoint {mountpoint} is not a directory") from None
    except OSError as error:
        raise MountError(f"mountpoint {mountpoint}: {error.strerror}") from None
    if occupied is not None:
        raise MountError(
            f"mountpoint {mountpoint} is not empty: it holds {occupied.name};"
            " mounting would hide it, so choose an empty directory"
        )


def _check_no_overlap(storage: str, mountpoint: str) -> None:
    """Refuse a store and a mountpoint of which one contains the other.

    The daemon would wait for itself as soon as it touched its own store. Directories are
    compared by device and inode, so a bind mount does not hide that two paths are one place.
    """
    if _contains(mountpoint, storage):
        raise MountError(f"the store {storage} lies inside the mountpoint {mountpoint}")
    if _contains(storage, mountpoint):
        raise MountError(f"the mountpoint {mountpoint} lies inside the store {storage}")


def _contains(outer: str, inner: str) -> bool:
    """Return whether ``inner`` or a directory above it is ``outer``; both without symlinks."""
    try:
        wanted = os.stat(outer)
    except FileNotFoundError:
        return os.path.commonpath([outer, inner]) == outer
    while True:
        try:
            if os.path.samestat(os.stat(inner), wanted):
                return True
        except FileNotFoundError:
            pass  # a store that is new: what lies above it decides
        above = os.path.dirname(inner)
        if above == inner:
            return False
        inner = above


def _check_others_may_be_allowed() -> None:
    try:
        with open(FUSE_CONFIGURATION, encoding="utf-8", errors="replace") as configuration:
            allowed = any(line.strip() == "user_allow_other" for line in configuration)
    except OSError:
        allowed = False
    if not allowed:
        raise MountError(
            f"--allow-other needs the line user_allow_other in {FUSE_CONFIGURATION},"
            " or root to mount"
        )


def _wait_for_a_daemon_that_ends(storage: str) -> None:
    """Wait while the store is locked but mounted nowhere.

    Between the unmount and the daemon's own word that it is closing lies a moment in which the
    store looks as if it were in use. When the wait is over, the store has the last word.
    """
    lock = open_lock(storage)
    if lock is None:
        return
    deadline = time.monotonic() + ENDING_SECONDS
    try:
        while is_locked(lock) and time.monotonic() < deadline:
            if any(mount.is_djafs and mount.source == storage for mount in mounts()):
                return
            time.sleep(POLL_SECONDS)
    finally:
        os.close(lock)
