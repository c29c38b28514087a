"""System calls that Python has no function for, raising OSError as those do that it has."""

from __future__ import annotations

import ctypes
import os

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4

KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE = 1, 2, 8, 16, 32

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.opendir.restype = _libc.readdir.restype = ctypes.c_void_p
_libc.telldir.restype = ctypes.c_long


class _Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_int64), ("nsec", ctypes.c_long))


class _Dirent(ctypes.Structure):
    _fields_ = (
        ("ino", ctypes.c_uint64),
        ("off", ctypes.c_int64),
        ("reclen", ctypes.c_uint16),
        ("type", ctypes.c_uint8),
        ("name", ctypes.c_char * 256),
    )


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def renameat2(old: str, new: str, flags: int) -> None:
    """Rename with RENAME_* flags."""
    a, b = os.fsencode(old), os.fsencode(new)
    _check(_libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, ctypes.c_uint(flags)))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Reserve, punch or zero a range."""
    _check(_libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def utimensat(path: str, atime: tuple[int, int], mtime: tuple[int, int], flags: int = 0) -> None:
    """Set times as (seconds, nanoseconds), where the latter may be UTIME_NOW or UTIME_OMIT."""
    times = (_Timespec * 2)(_Timespec(*atime), _Timespec(*mtime))
    _check(_libc.utimensat(AT_FDCWD, os.fsencode(path), times, flags))


def linkat(old: str, new: str, flags: int = AT_SYMLINK_FOLLOW) -> None:
    """Link; by default what a symbolic link, such as one of /proc/self/fd, points at."""
    _check(_libc.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


class _FileHandle(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint),
        ("type", ctypes.c_int),
        ("handle", ctypes.c_uint8 * 128),
    )


def name_to_handle(path: str) -> tuple[int, bytes]:
    """Return what names a file for good, as NFS servers use it."""
    handle = _FileHandle(128)
    mount = ctypes.c_int()
    arguments = (ctypes.byref(handle), ctypes.byref(mount), 0)
    _check(_libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), *arguments))
    return handle.type, bytes(handle.handle[: handle.size])


def open_by_handle(mount: int, named: tuple[int, bytes], flags: int) -> int:
    """Open a file by its handle in the filesystem of descriptor ``mount``."""
    handle = _FileHandle(len(named[1]), named[0])
    ctypes.memmove(handle.handle, named[1], len(named[1]))
    return _check(_libc.open_by_handle_at(mount, ctypes.byref(handle), flags))


class Listing:
    """An open directory stream: opendir(3) to closedir(3)."""

    def __init__(self, path: str) -> None:
        self._stream = _libc.opendir(os.fsencode(path))
        if not self._stream:
            _check(-1)

    def read(self) -> str | None:
        """Return the next name, None at the end."""
        ctypes.set_errno(0)
        entry = _libc.readdir(ctypes.c_void_p(self._stream))
        if not entry:
            if ctypes.get_errno():
                _check(-1)
            return None
        return os.fsdecode(_Dirent.from_address(entry).name)

    def rest(self) -> list[str]:
        """Return all names that are left."""
        return list(iter(self.read, None))

    def tell(self) -> int:
        """Return the place of the stream."""
        place: int = _libc.telldir(ctypes.c_void_p(self._stream))
        return place

    def seek(self, place: int) -> None:
        """Go to a place that :meth:`tell` gave."""
        _libc.seekdir(ctypes.c_void_p(self._stream), ctypes.c_long(place))

    def rewind(self) -> None:
        """Begin again."""
        _libc.rewinddir(ctypes.c_void_p(self._stream))

    def close(self) -> None:
        """Close the stream."""
        _libc.closedir(ctypes.c_void_p(self._stream))
