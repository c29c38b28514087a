"""How a mount ends: detached from its place, and its store clean and unlocked."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
import subprocess
import time
from typing import Literal

from djafs.disk.layout import Layout
from djafs.errors import LockedError, MountError
from djafs.mounting.mountpoints import Mount, mount_at, probe, resolve

PROBE_SECONDS = 2.0
POLL_SECONDS = 0.01
"""Between two looks at a lock: flock(2) itself waits without a limit."""

_ADVICE_ON_HANGING = (
    "its daemon does not answer: kill it (ps -C djafs -f shows it; nothing is lost),"
    " and unmount again"
)

Ending = Literal["unmounted", "cleared"]
"""``unmounted``: by a daemon that closed its store. ``cleared``: the daemon had died before."""


def unmount(path: str, seconds: float) -> tuple[Mount, Ending]:
    """Unmount the djafs at ``path``; return when its store is unlocked.

    ``seconds`` bounds the wait for the daemon to close the store. Raises MountError when there
    is no djafs or it is in use, LockedError when the wait is over.
    """
    mount = _djafs_at(path)
    # Opened first: afterwards another mount may hide the path, or take the lock for itself.
    lock = open_lock(mount.source)
    try:
        answer = probe(mount.mountpoint, PROBE_SECONDS)
        stale = answer == errno.ENOTCONN
        try:
            detach(mount.mountpoint, lazily=stale)
        except MountError as error:
            if answer is None:
                raise MountError(f"{error}; {_ADVICE_ON_HANGING}") from None
            raise
        if lock is not None:
            _wait_until_unlocked(lock, mount.source, seconds)
    finally:
        if lock is not None:
            os.close(lock)
    return mount, "cleared" if stale else "unmounted"


def _djafs_at(path: str) -> Mount:
    mountpoint = resolve(path)
    mount = mount_at(mountpoint)
    if mount is None:
        raise MountError(f"nothing is mounted on {mountpoint}")
    if not mount.is_djafs:
        raise MountError(
            f"{mount.source} (type {mount.type}) is mounted on {mountpoint}, not a djafs store"
        )
    return mount


def detach(mountpoint: str, *, lazily: bool = False) -> None:
    """Take the topmost mount away from ``mountpoint``; with ``lazily`` even while it is in use.

    Raises MountError, which says how to find the users of a mount that is busy.
    """
    fusermount = shutil.which("fusermount3")
    if fusermount is not None:
        command = [fusermount, "-uz" if lazily else "-u", "--", mountpoint]
    else:
        command = ["umount", *(["-l"] if lazily else []), "--", mountpoint]
    # The messages are read below: in the C locale they are always the same.
    environment = {**os.environ, "LC_ALL": "C"}
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        errors="replace",
        env=environment,
        check=False,
    )
    if result.returncode == 0:
        return
    if "busy" in result.stderr:
        raise MountError(
            f"{mountpoint} is in use; find the users with: fuser -vm {shlex.quote(mountpoint)}"
            f" (or: lsof {shlex.quote(mountpoint)})"
        )
    raise MountError(f"cannot unmount {mountpoint}: {result.stderr.strip()}")


def open_lock(storage: str) -> int | None:
    """Open the store's lock file; None when the store has gone from its path."""
    path = Layout(storage).lock
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MountError(
            f"cannot tell when {storage} is unlocked: {path}: {error.strerror}"
        ) from None


def is_locked(lock: int) -> bool:
    """Return whether a process holds the lock of a store, given its open lock file."""
    try:
        # Shared: two who look at the same time do not mistake each other for the holder.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def _wait_until_unlocked(lock: int, storage: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_locked(lock):
        if time.monotonic() > deadline:
            raise LockedError(
                f"unmounted, but after {seconds:.0f} s its daemon still holds {storage}:"
                " find it with: ps -C djafs -f"
            )
        time.sleep(POLL_SECONDS)
