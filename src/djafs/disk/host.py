"""The one door to the operating system for everything that changes the store.

Every call carries a *label* that names the step, such as ``"hot.append"`` or
``"archive.rename"``: tests replace the host with one that fails, cuts or reorders an exact step
(docs/ordering.md lists the labels). Reading needs no door: it changes nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import weakref
from collections.abc import Callable

from djafs.disk.beside import Beside

# The standard library has neither syncfs nor sync_file_range.
_libc = ctypes.CDLL(None, use_errno=True)
_TO_THE_END = ctypes.c_int64(0), ctypes.c_int64(0)
_SYNC_FILE_RANGE_WRITE = ctypes.c_uint(2)  # linux/fs.h


def no_follow(path: str, flags: int) -> int:
    """Open a file of a store for reading, as ``opener`` of :func:`open`.

    Never through a symbolic link, and without waiting at a pipe: no store of ours has these.
    """
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


class Host:
    """Plain calls to the operating system."""

    _beside: Beside | None = None  # begun when it is first needed

    def open(self, path: str, flags: int, label: str, mode: int = 0o600) -> int:
        """Open ``path`` and return its descriptor (open(2)).

        Always close-on-exec, and never through a symbolic link, which no store of ours holds.
        """
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def close(self, descriptor: int) -> None:
        """Close a descriptor that :meth:`open` returned."""
        os.close(descriptor)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        """Write all of ``data`` at ``offset`` bytes; short writes are continued.

        Raises OSError as pwrite(2) does; what was written by then is unspecified.
        """
        written = os.pwrite(descriptor, data, offset)
        if written != len(data):
            rest = memoryview(data)[written:]
            while rest:
                offset += written
                written = os.pwrite(descriptor, rest, offset)
                rest = rest[written:]

    def truncate(self, descriptor: int, size: int, label: str) -> None:
        """Set the length of an open file to ``size`` bytes (ftruncate(2))."""
        os.ftruncate(descriptor, size)

    def allocate(self, descriptor: int, size: int, label: str) -> None:
        """Have the disk set ``size`` bytes aside for an open file (posix_fallocate(3))."""
        os.posix_fallocate(descriptor, 0, size)

    def sync(self, descriptor: int, label: str) -> None:
        """Make an open file durable, data and size (fdatasync(2))."""
        os.fdatasync(descriptor)

    def write_out(self, descriptor: int, label: str) -> None:
        """Begin to write an open file to the disk, and wait for nothing (sync_file_range(2)).

        This makes nothing durable. What it raises is an error of writing: the data is lost, as
        when :meth:`sync` fails.
        """
        if _libc.sync_file_range(descriptor, *_TO_THE_END, _SYNC_FILE_RANGE_WRITE):
            number = ctypes.get_errno()
            if number != errno.ENOSYS:  # then it is written when it is synced
                raise OSError(number, os.strerror(number))

    def both(self, one: Callable[[], None], other: Callable[[], None]) -> None:
        """Do two things that wait for the disk, at the same time.

        Both have ended when this returns, and when it raises what one of them raised.
        """
        if self._beside is None:
            self._beside = Beside()
            weakref.finalize(self, self._beside.end)
        self._beside.both(one, other)

    def sync_directory(self, path: str, label: str) -> None:
        """Make the names in a directory durable (fsync(2) on the directory)."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_filesystem(self, path: str, label: str) -> None:
        """Have the filesystem that ``path`` lies on write all that it has in memory (syncfs(2))."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(descriptor):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str, label: str) -> None:
        """Give a file its final name, replacing what had it (rename(2))."""
        os.rename(source, target)

    def link(self, source: str, target: str, label: str) -> None:
        """Give a file a further name (link(2)).

        Where the filesystem has no hard links, ``target`` becomes a durable copy.
        """
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            draft = target + ".tmp"
            shutil.copyfile(source, draft, follow_symlinks=False)
            descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(draft, target)

    def unlink(self, path: str, label: str) -> None:
        """Remove a file (unlink(2))."""
        os.unlink(path)

    def mkdir(self, path: str, label: str) -> None:
        """Create a directory (mkdir(2)), for its owner alone."""
        os.mkdir(path, 0o700)
