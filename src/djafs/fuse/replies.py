"""From the result of an operation to the bytes of its reply; pure, one function per layout.

Each takes the request's ``unique`` number, the result, and the arguments of the operation (some
replies depend on the room that was given), and returns the whole message: bytes, or a tuple of
buffers to be written as one. What the kernel could not take raises: ``OSError`` where that is an
answer (ERANGE), ``ValueError`` or ``struct.error`` where it is a bug of the filesystem.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterable
from typing import Any

from djafs.fuse import wire
from djafs.fuse.values import (
    FOREVER,
    SECOND,
    AttributesReply,
    Created,
    DirectoryEntry,
    Entry,
    IoctlReply,
    Opened,
    Statfs,
)

#: What is given to os.write, or to os.writev.
Reply = bytes | tuple[bytes, bytes | bytearray | memoryview]

#: Data up to this size is joined with its header: copying it costs less than a second buffer does.
_JOIN = 4096

_header = wire.REPLY_HEADER.pack
_entry_reply = wire.ENTRY_REPLY.pack
_attr_reply = wire.ATTR_REPLY.pack

_FOREVER = divmod(FOREVER, SECOND)
_NO_ATTRIBUTES = (0,) * 16


class _Lines(dict[int, tuple[Callable[..., bytes], int]]):
    """How an entry of a listing is packed with its name, and its size, by the length of that."""

    def __init__(self, layout: struct.Struct) -> None:
        self._layout = layout

    def __missing__(self, length: int) -> tuple[Callable[..., bytes], int]:
        line = struct.Struct(f"{self._layout.format}{length + -length % 8}s")
        made = self[length] = (line.pack, line.size)
        return made


_dirents = _Lines(wire.DIRENT)
_dirents_plus = _Lines(wire.DIRENT_PLUS)
_NO_ENTRY = bytes(wire.DIRENT_PLUS.size - wire.DIRENT.size)


def _entry_fields(entry: Entry) -> tuple[int, ...]:
    """Return the fields of ``struct fuse_entry_out``.

    The attributes are spelled out here and in :func:`attributes`: sharing them would cost
    another 0.3 microseconds for every entry.
    """
    nodeid, generation, attributes, entry_valid, attr_valid = entry
    if entry_valid == attr_valid == FOREVER:
        entry_s, entry_ns = attr_s, attr_ns = _FOREVER
    else:
        entry_s, entry_ns = divmod(entry_valid, SECOND)
        attr_s, attr_ns = divmod(attr_valid, SECOND)
    if attributes is None:
        return (nodeid, generation, entry_s, attr_s, entry_ns, attr_ns, *_NO_ATTRIBUTES)
    ino, size, blocks, atime, mtime, ctime, mode, nlink, uid, gid, rdev, blksize = attributes
    mtime_s, mtime_ns = divmod(mtime, SECOND)
    if ctime == mtime:
        ctime_s, ctime_ns = mtime_s, mtime_ns
    else:
        ctime_s, ctime_ns = divmod(ctime, SECOND)
    if atime == mtime:
        atime_s, atime_ns = mtime_s, mtime_ns
    else:
        atime_s, atime_ns = divmod(atime, SECOND)
    return (
        nodeid, generation, entry_s, attr_s, entry_ns, attr_ns,
        ino, size, blocks, atime_s, mtime_s, ctime_s, atime_ns, mtime_ns, ctime_ns,
        mode, nlink, uid, gid, rdev, blksize, 0,
    )  # fmt: skip


def failure(unique: int, number: int) -> bytes:
    """Return the reply that makes the system call fail with errno ``number`` (1 to 511)."""
    return _header(16, -number, unique)


def nothing(unique: int, result: None, arguments: tuple[Any, ...]) -> bytes:
    """Answer with success alone."""
    return _header(16, 0, unique)


def entry(unique: int, result: Entry, arguments: tuple[Any, ...]) -> bytes:
    """LOOKUP, MKNOD, MKDIR, SYMLINK, LINK."""
    return _entry_reply(144, 0, unique, *_entry_fields(result))


def attributes(unique: int, result: AttributesReply, arguments: tuple[Any, ...]) -> bytes:
    """GETATTR, SETATTR."""
    (
        (ino, size, blocks, atime, mtime, ctime, mode, nlink, uid, gid, rdev, blksize), valid,
    ) = result  # fmt: skip
    valid_s, valid_ns = divmod(valid, SECOND)
    atime_s, atime_ns = divmod(atime, SECOND)
    mtime_s, mtime_ns = divmod(mtime, SECOND)
    ctime_s, ctime_ns = divmod(ctime, SECOND)
    return _attr_reply(
        120, 0, unique, valid_s, valid_ns, 0,
        ino, size, blocks, atime_s, mtime_s, ctime_s, atime_ns, mtime_ns, ctime_ns,
        mode, nlink, uid, gid, rdev, blksize, 0,
    )  # fmt: skip


def opened(unique: int, result: Opened, arguments: tuple[Any, ...]) -> bytes:
    """OPEN, OPENDIR."""
    handle, flags = result
    return wire.OPEN_REPLY.pack(32, 0, unique, handle, flags, 0)


def created(unique: int, result: Created, arguments: tuple[Any, ...]) -> bytes:
    """CREATE, TMPFILE."""
    new, (handle, flags) = result
    return wire.CREATE_REPLY.pack(160, 0, unique, *_entry_fields(new), handle, flags, 0)


def contents(
    unique: int, result: bytes | bytearray | memoryview, arguments: tuple[Any, ...]
) -> Reply:
    """READ: at most as much as was asked for; less means the end of the file."""
    size = len(result)
    if size > arguments[2]:
        raise ValueError(f"{size} bytes in answer to a READ of {arguments[2]}")
    if size <= _JOIN:
        return _header(16 + size, 0, unique) + result
    return _header(16 + size, 0, unique), result


def text(unique: int, result: bytes, arguments: tuple[Any, ...]) -> bytes:
    """READLINK."""
    return _header(16 + len(result), 0, unique) + result


def written(unique: int, result: int, arguments: tuple[Any, ...]) -> bytes:
    """WRITE, COPY_FILE_RANGE: how many bytes were taken."""
    return wire.WRITE_REPLY.pack(24, 0, unique, result, 0)


def large_number(unique: int, result: int, arguments: tuple[Any, ...]) -> bytes:
    """LSEEK, COPY_FILE_RANGE_64."""
    return wire.U64_REPLY.pack(24, 0, unique, result)


def statfs(unique: int, result: Statfs, arguments: tuple[Any, ...]) -> bytes:
    """STATFS."""
    return wire.STATFS_REPLY.pack(96, 0, unique, *result, 0)


def xattr(unique: int, result: bytes, arguments: tuple[Any, ...]) -> bytes:
    """GETXATTR, LISTXATTR: the value, or its size if the room asked for is 0, or ERANGE."""
    room: int = arguments[-1]
    size = len(result)
    if room == 0:
        return wire.XATTR_SIZE_REPLY.pack(24, 0, unique, size, 0)
    if size > room:
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
    return _header(16 + size, 0, unique) + result


def xattr_names(unique: int, result: Iterable[bytes], arguments: tuple[Any, ...]) -> bytes:
    """LISTXATTR: the names, each ended by NUL, under the rule of :func:`xattr`."""
    return xattr(unique, b"".join([each + b"\0" for each in result]), arguments)


def ioctl(unique: int, result: IoctlReply, arguments: tuple[Any, ...]) -> bytes:
    """IOCTL: the result of the system call, and the output."""
    value, output = result
    if len(output) > arguments[-1]:
        raise ValueError(f"{len(output)} bytes in answer to an IOCTL with room for {arguments[-1]}")
    return wire.IOCTL_REPLY.pack(32 + len(output), 0, unique, value, 0, 0, 0) + output


def listing(unique: int, result: Iterable[DirectoryEntry], arguments: tuple[Any, ...]) -> bytes:
    """READDIR: as many entries as there is room for; none at all ends the listing.

    The first entry that does not fit has been taken from the iterator, and is dropped. A generator
    is not resumed after it: what stands after its ``yield`` runs for the entries sent, no others.
    """
    parts = [b""]
    used, room = 16, arguments[2] + 16
    for name, ino, cookie, mode, _ in result:
        length = len(name)
        pack, size = _dirents[length]
        if used + size > room:
            break
        used += size
        parts.append(pack(ino, cookie, length, mode >> 12 & 0o17, name))
    parts[0] = _header(used, 0, unique)
    return b"".join(parts)


def listing_plus(
    unique: int, result: Iterable[DirectoryEntry], arguments: tuple[Any, ...]
) -> bytes:
    """READDIRPLUS: the same, each entry with what LOOKUP would have answered."""
    parts = [b""]
    used, room = 16, arguments[2] + 16
    for name, ino, cookie, mode, entry in result:
        length = len(name)
        pack, size = _dirents_plus[length]
        if used + size > room:
            break
        used += size
        if entry is None:
            parts += (_NO_ENTRY, _dirents[length][0](ino, cookie, length, mode >> 12 & 0o17, name))
        else:
            fields = _entry_fields(entry)
            parts.append(pack(*fields, ino, cookie, length, mode >> 12 & 0o17, name))
    parts[0] = _header(used, 0, unique)
    return b"".join(parts)
