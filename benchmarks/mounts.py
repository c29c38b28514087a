"""Mounting, and leaving nothing behind: the only module that starts and ends daemons.

Everything lies below one scratch directory. However a run ends (done, failed, Ctrl-C, SIGTERM),
its mounts are taken down with ``fusermount3``, its daemons are ended by process id, and the
directory is removed. A daemon dies with the benchmark even if that is killed outright, and the
next run clears what such a run left mounted.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PREFIX = "djafs-bench-"
MOUNT_TIMEOUT = 30.0
UNMOUNT_TIMEOUT = 180.0


class MountError(Exception):
    """A filesystem did not mount, or its client failed on it."""


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Make the directory below which everything happens; signals end the run in good order."""

    def stop(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)  # the cleaning up is not to be interrupted
        raise SystemExit(128 + number)

    before = {
        number: signal.signal(number, stop)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    raise_file_limit()
    parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(parent)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
    try:
        yield path
    finally:
        remove(path)
        for number, handler in before.items():
            signal.signal(number, handler)


def clear_leftovers(parent: Path) -> None:
    """Unmount and remove what a killed run left below *parent* (the caller holds the lock)."""
    for path in parent.resolve().glob(f"{PREFIX}*"):
        remove(path)


def remove(path: Path) -> None:
    """Remove a directory, and unmount first whatever is still mounted below it."""
    take_down(path)
    shutil.rmtree(path, ignore_errors=True)


def take_down(path: Path) -> None:
    """Unmount whatever is mounted at or below *path*, in use or not."""
    for mountpoint in mounted_below(path):
        for command in (["fusermount3", "-uz"], ["umount"], ["umount", "--lazy"]):
            if mountpoint in mounted_below(path):
                subprocess.run([*command, mountpoint], capture_output=True, check=False)
    if mounted_below(path):
        raise MountError(f"cannot unmount what is mounted below {path}: remove it by hand")


def mounted_below(path: Path) -> list[str]:
    """List the mount points at and below *path*, deepest first."""
    with open("/proc/self/mountinfo", "rb") as table:
        points = [os.fsdecode(unescape(line.split()[4])) for line in table]
    inside = [p for p in points if p == str(path) or p.startswith(f"{path}/")]
    return sorted(inside, key=len, reverse=True)


def unescape(name: bytes) -> bytes:
    """Undo the octal escapes of /proc/self/mountinfo."""
    return name.decode("unicode_escape").encode("latin-1")


@contextlib.contextmanager
def inherited(cores: Sequence[int] | None) -> Iterator[None]:
    """Hold this thread to *cores* while it starts a process, which then is held to them too."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> None:
    """Allow as many open files as may be: a passthrough holds one for every inode in use.

    Only root may raise the hard limit.
    """
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (most, hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


@dataclass
class Mounted:
    """One filesystem, ready for use."""

    root: Path
    """Where files are made: below the mount point, or simply a directory for native."""

    backing: Path
    """What lies on the disk beneath: the source of a passthrough, the store of djafs."""

    mountpoint: Path
    cores: tuple[int, ...] | None
    """The cores that client and daemon are held to; None leaves the choice to the kernel."""

    options: tuple[str, ...] = ()
    """Further options of the command that mounts."""

    daemon: subprocess.Popen[bytes] | None = None
    log: Path | None = None

    def run(self, command: Sequence[str | Path], timeout: float = 900.0) -> str:
        """Run a client on the filesystem's cores and return what it printed.

        A client that waits for an answer which never comes cannot even be killed: whatever goes
        wrong, the daemon goes first.
        """
        with inherited(self.cores):
            client = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        try:
            out, err = client.communicate(timeout=timeout)
        except BaseException as error:
            if self.daemon is not None:
                self.daemon.kill()
            client.kill()
            client.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise MountError(f"{command[0]} still ran after {timeout:.0f} s") from None
            raise
        if client.returncode != 0:
            said = err.strip().splitlines()[-3:]
            raise MountError(
                f"{Path(command[0]).name}: exit status {client.returncode}: "
                + " / ".join([*said, *self.last_words()])
            )
        return out

    def last_words(self) -> list[str]:
        """Return the end of what the daemon had to say."""
        if self.log is None or not self.log.exists():
            return []
        return self.log.read_text(errors="replace").strip().splitlines()[-3:]


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path],
    where: Mounted,
    timeout: float = MOUNT_TIMEOUT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Mounted]:
    """Start a daemon that stays in the foreground, wait until its mount answers, and end it."""
    where.log = where.mountpoint.with_suffix(".log")
    dying_with_us = ["setpriv", "--pdeathsig", "TERM", "--"]
    with where.log.open("wb") as log, inherited(where.cores):
        where.daemon = subprocess.Popen(
            [*dying_with_us, *(str(word) for word in command)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        wait_for_mount(where, timeout)
        yield where
    finally:
        unmount(where)


def wait_for_mount(where: Mounted, timeout: float) -> None:
    """Return when the mount point is mounted and its root answers."""
    assert where.daemon is not None
    deadline = time.monotonic() + timeout
    while str(where.mountpoint) not in mounted_below(where.mountpoint):
        if where.daemon.poll() is not None:
            raise MountError(
                f"ended with status {where.daemon.returncode}: " + " / ".join(where.last_words())
            )
        if time.monotonic() > deadline:
            raise MountError(f"not mounted after {timeout:.0f} s")
        time.sleep(0.01)
    where.run(["stat", where.root], timeout=timeout)


def unmount(where: Mounted) -> None:
    """Unmount, wait for the daemon to finish what it has to, and kill it if it does not."""
    assert where.daemon is not None
    point = str(where.mountpoint)
    for flags in ("-u", "-uz"):
        if mounted_below(where.mountpoint):
            subprocess.run(["fusermount3", flags, point], capture_output=True, check=False)
    try:
        where.daemon.wait(UNMOUNT_TIMEOUT)
    except BaseException:
        where.daemon.kill()
        where.daemon.wait()
        raise
