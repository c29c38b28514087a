"""Rows of the index and what they stand for: conversion only (columns are in schema.sql).

The *fields* of an inode, one for each thing that is known of it, are what checkpoints and
comparisons speak of; its row is in djafs.disk.states.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from djafs.extents import Extent
from djafs.model import NEVER, Inode

Row = tuple[Any, ...]

FIELDS = (
    "ino, mode, nlink, uid, gid, size, mtime, ctime, atime, last, version, floor, flags,"
    " extents, hot, parent, entries, files, extra"
)
"""Names of the fields of :func:`fields_of` and :func:`inode_from`."""

VERSION = (
    "ino, day, version, begin, mode, nlink, uid, gid, size, mtime, ctime, atime,"
    " extents, hot, extra"
)
"""Columns of ``version`` in the order of :func:`version_row` and :func:`version_of`."""

HASH_SHIFT = 9
"""Bits of the CRC-32 of a name that its hash does without: SQLite has the rest in 3 bytes."""

CONTENT, EXPLICIT, SEEN = 1, 2, 4
"""Bits of the flags of an inode."""


class Extra(msgspec.Struct, omit_defaults=True, array_like=False):
    """Fields that few inodes have; names are short because they are stored with each."""

    r: int = 0  # rdev
    t: bytes | None = None  # target of a symlink
    x: dict[bytes, bytes] | None = None  # extended attributes
    b: dict[int, int] | None = None  # born


_pack = msgspec.msgpack.Encoder().encode
_NOTHING = _pack([])
_extents = msgspec.msgpack.Decoder(list[Extent]).decode
_extra = msgspec.msgpack.Decoder(Extra).decode


def pack_extents(extents: list[Extent]) -> bytes | None:
    """Return extents as stored; archived ones without the fields that they do not use."""
    if not extents:
        return None
    return _pack([extent if extent[2] else extent[:5] for extent in extents])


def pack_part(extents: list[Extent]) -> bytes:
    """Return the extents of a part as stored, where a column may not be NULL."""
    return pack_extents(extents) or _NOTHING


def unpack_extents(stored: bytes | None) -> list[Extent]:
    """Return the extents of a stored column."""
    return _extents(stored) if stored else []


def hot_of(extents: list[Extent]) -> int | None:
    """Return the smallest hot segment that ``extents`` need, None when they need none."""
    least = 0
    for extent in extents:
        segment = extent[2]
        if segment and (segment < least or not least):
            least = segment
    return least or None


def name_hash(name: bytes) -> int:
    """Return the hash under which a name is found."""
    return crc32(name) >> HASH_SHIFT


def fields_of(inode: Inode) -> Row:
    """Return the fields of an inode."""
    mtime, ctime = inode.mtime, inode.ctime
    extents = inode.extents
    return (
        inode.ino,
        inode.mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.size,
        mtime,
        None if ctime == mtime else ctime,
        None if inode.atime == mtime else inode.atime,
        None if inode.last == ctime else inode.last,
        inode.version,
        None if inode.floor == NEVER else inode.floor,
        inode.content * CONTENT + inode.explicit * EXPLICIT + inode.seen * SEEN,
        pack_extents(extents) if extents else None,
        hot_of(extents) if extents else None,
        inode.parent or None,
        inode.entries or None,
        inode.files or None,
        _pack_extra(inode),
    )


def inode_from(fields: Row) -> Inode:
    """Return the inode that has these fields."""
    inode = Inode.__new__(Inode)
    (
        inode.ino,
        inode.mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.size,
        mtime,
        ctime,
        atime,
        last,
        inode.version,
        floor,
        flags,
        extents,
        _,
        parent,
        entries,
        files,
        extra,
    ) = fields
    inode.mtime = mtime
    inode.ctime = mtime if ctime is None else ctime
    inode.atime = mtime if atime is None else atime
    inode.last = inode.ctime if last is None else last
    inode.floor = NEVER if floor is None else floor
    inode.content = bool(flags & CONTENT)
    inode.explicit = bool(flags & EXPLICIT)
    inode.seen = bool(flags & SEEN)
    inode.extents = _extents(extents) if extents else []
    inode.parent, inode.entries, inode.files = parent or 0, entries or 0, files or 0
    inode.generation = 0
    _unpack_extra(inode, extra)
    return inode


def version_row(inode: Inode, day: int, begin: int) -> Row:
    """Return the row of table ``version`` for the state of ``inode``."""
    mtime = inode.mtime
    return (
        inode.ino,
        day,
        inode.version,
        begin,
        inode.mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.size,
        mtime,
        None if inode.ctime == mtime else inode.ctime,
        None if inode.atime == mtime else inode.atime,
        pack_extents(inode.extents),
        hot_of(inode.extents),
        _pack_extra(inode),
    )


def version_of(row: Row) -> Inode:
    """Return the state that a row of table ``version`` keeps."""
    ino, _, version, begin, mode, nlink, uid, gid, size, mtime, ctime, atime, extents, _, extra = (
        row
    )
    inode = Inode(ino, mode, uid, gid, mtime)
    inode.nlink, inode.size, inode.version = nlink, size, version
    inode.ctime = mtime if ctime is None else ctime
    inode.atime = mtime if atime is None else atime
    inode.last, inode.floor, inode.content = begin, begin - 1, False
    inode.extents = unpack_extents(extents)
    _unpack_extra(inode, extra)
    return inode


def _pack_extra(inode: Inode) -> bytes | None:
    if inode.rdev or inode.target is not None or inode.xattrs or inode.born:
        return _pack(Extra(inode.rdev, inode.target, inode.xattrs or None, inode.born or None))
    return None


def _unpack_extra(inode: Inode, stored: bytes | None) -> None:
    if stored is None:
        inode.rdev, inode.target, inode.xattrs, inode.born = 0, None, None, None
    else:
        extra = _extra(stored)
        inode.rdev, inode.target, inode.xattrs, inode.born = extra.r, extra.t, extra.x, extra.b
