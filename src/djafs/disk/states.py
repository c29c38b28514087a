"""Rows of the table ``inode``, and of ``hot`` beside it (docs/formats/index.md, "The state …").

A row keeps the state of an inode in one blob, in which what is at its usual value takes no room.
"""

from __future__ import annotations

import stat
import struct
from typing import Any, NamedTuple

import msgspec

from djafs.disk import rows
from djafs.extents import PART, Extent
from djafs.model import NEVER, Inode, effective_time

INODE = "i.ino, i.nlink, i.state, (SELECT extents FROM hot WHERE hot.ino = i.ino)"
"""Columns of :func:`inode_of` in a query in which ``i`` is the table ``inode``."""

IS_DIRECTORY, IS_REGULAR = (f"hex(substr(i.state, 3, 1)) GLOB '{kind}?'" for kind in "48")
"""Conditions on the type of an inode, where ``i`` is the table ``inode``."""

# The shape, which a state begins with, says what is in it (docs/formats/index.md). Of what has
# several forms: the unit of its bits, and struct's code for each form.
_SIZE, _OWNER, _TIMES, _MTIME, _CTIME, _ATIME = 1 << 0, 1 << 2, 3 << 4, 1 << 4, 1 << 5, 1 << 6
_PLACE, _VERSION, _FLOOR, _TAIL, _FLAGS = 1 << 8, 1 << 10, 1 << 11, 1 << 12, 13
_FORMS = (
    (_SIZE, ("", "H", "I", "Q")),
    (_OWNER, ("", "HH", "II")),
    (_MTIME, ("I", "q")),
    (_CTIME, ("", "q")),
    (_ATIME, ("", "", "I", "q")),
    (_PLACE, ("", "I", "I")),
    (_VERSION, ("", "I")),
    (_FLOOR, ("", "q")),
)
_NOT_PLAIN = _TAIL | 2 * _PLACE
_REGULAR = stat.S_IFREG >> 8
_BOOLEANS = [(bool(n & 1), bool(n & 2), bool(n & 4)) for n in range(8)]
_FIXED = _TAIL - 1  # bits that say what the fixed fields are
_SECOND = 10**9
_SHORT, _LONG = 1 << 16, 1 << 32


class Tail(rows.Extra, omit_defaults=True, array_like=False):
    """What stands behind the fixed fields of a state."""

    p: int = 0  # parent, of a directory
    n: int = 0  # entries
    f: int = 0  # files
    l: int | None = None  # last, where it is not ctime  # noqa: E741
    e: list[Extent] | None = None  # extents, where they are not one whole content


_pack = msgspec.msgpack.Encoder().encode
_extents = msgspec.msgpack.Decoder(list[Extent]).decode
_tail = msgspec.msgpack.Decoder(Tail).decode
_new: Any = object.__new__
_new_tuple: Any = tuple.__new__


class _Structs(dict[int, struct.Struct]):
    """The fixed fields of a state for each shape, made when first needed."""

    def __missing__(self, shape: int) -> struct.Struct:
        codes = [codes[shape // unit % _width(codes)] for unit, codes in _FORMS]
        made = self[shape] = struct.Struct(">HH" + "".join(codes))
        return made


class _Times(dict[int, struct.Struct]):
    """Of the fixed fields mtime, and ctime, version and floor where they are kept, by shape."""

    def __missing__(self, shape: int) -> struct.Struct:
        made = ">4x"
        for unit, codes in _FORMS:
            code = codes[shape // unit % _width(codes)]
            kept = unit in (_MTIME, _CTIME, _VERSION, _FLOOR)
            made += code if kept else f"{struct.calcsize('>' + code)}x"
        self[shape] = fixed = struct.Struct(made)
        return fixed


class _Places(dict[int, tuple[struct.Struct, int, int] | None]):
    """Where the size and the content of plain states stand, by shape: 0 for not at all."""

    def __missing__(self, shape: int) -> tuple[struct.Struct, int, int] | None:
        place = shape & 3 * _PLACE
        if shape & _TAIL or place > _PLACE:
            made = None
        else:
            size = 2 if shape & 3 * _SIZE else 0
            times = 1 + bool(shape & _CTIME) + (shape & 3 * _ATIME > _ATIME)
            before = 2 + bool(size) + 2 * bool(shape & 3 * _OWNER) + times
            made = (_structs[shape & _FIXED], size, before if place else 0)
        self[shape] = made
        return made


def _width(codes: tuple[str, ...]) -> int:
    return 2 if len(codes) == 2 else 4


_structs = _Structs()
_times = _Times()
_places = _Places()


def inode_row(inode: Inode) -> rows.Row:  # noqa: C901, PLR0912, PLR0915
    """Return the row of table ``inode``; hot extents are for :func:`hot_row`."""
    shape = (
        inode.content * rows.CONTENT + inode.explicit * rows.EXPLICIT + inode.seen * rows.SEEN
    ) << _FLAGS
    values = [inode.mode]
    size, uid, gid = inode.size, inode.uid, inode.gid
    if size:
        values.append(size)
        shape |= _SIZE if size < _SHORT else 2 * _SIZE if size < _LONG else 3 * _SIZE
    if uid or gid:
        values += (uid, gid)
        shape |= _OWNER if uid < _SHORT and gid < _SHORT else 2 * _OWNER
    mtime, ctime, atime = inode.mtime, inode.ctime, inode.atime
    seconds, rest = divmod(mtime, _SECOND)
    if rest or not 0 <= seconds < _LONG:
        seconds = mtime
        shape |= _MTIME
    values.append(seconds)
    if ctime != mtime:
        values.append(ctime)
        shape |= _CTIME
    if atime != mtime:
        before = ctime - atime
        if not before:
            shape |= _ATIME
        elif 0 < before < _LONG:
            values.append(before)
            shape |= 2 * _ATIME
        else:
            values.append(atime)
            shape |= 3 * _ATIME
    extents: list[Extent] | None = inode.extents
    if extents:
        if _is_whole(extents, size):
            values.append(extents[0].base)
            shape |= _PLACE
            extents = None
        elif is_hot(extents):
            values.append(0)  # the number of the content will stand here: rows do not grow
            shape |= 2 * _PLACE
            extents = None
    if inode.version != 1:
        values.append(inode.version)
        shape |= _VERSION
    if inode.floor != NEVER:
        values.append(inode.floor)
        shape |= _FLOOR
    tail = _pack_tail(inode, extents)
    fixed = _structs[shape & _FIXED]
    if tail:
        shape |= _TAIL
    try:
        return inode.ino, inode.nlink, fixed.pack(shape, *values) + tail
    except struct.error as error:
        raise ValueError(f"inode {inode.ino} cannot be kept: {error}") from error


def is_hot(extents: list[Extent]) -> bool:
    """Return whether any extent is in the hot log."""
    return rows.hot_of(extents) is not None


def _is_whole(extents: list[Extent], size: int) -> bool:
    """Return whether part 0 of a file is one archived content from end to end."""
    offset, length, segment, at, base, _, _ = extents[0]
    if segment or offset or at or base >= _LONG or len(extents) > 1:
        return False
    return length == size or length == PART < size


def _pack_tail(inode: Inode, extents: list[Extent] | None) -> bytes:
    last = None if inode.last == inode.ctime else inode.last
    if not (
        extents or inode.parent or inode.entries or inode.files or inode.rdev or inode.xattrs
        or inode.born or last is not None or inode.target is not None
    ):  # fmt: skip
        return b""
    return _pack(
        Tail(
            inode.rdev, inode.target, inode.xattrs or None, inode.born or None,
            inode.parent, inode.entries, inode.files, last, extents or None,
        )
    )  # fmt: skip


def inode_of(row: rows.Row) -> Inode:  # noqa: C901, PLR0912, PLR0915
    """Return the inode of a row of table ``inode`` (raises ValueError for what is none).

    In one piece: every inode that is looked up or listed for the first time comes through here.
    """
    inode: Inode = _new(Inode)
    inode.ino, inode.nlink, state, hot = row
    try:
        shape = state[0] << 8 | state[1]
        fixed = _structs[shape & _FIXED]
        values = fixed.unpack_from(state)
        inode.mode = values[1]
        at = 2
        if shape & 3 * _SIZE:
            size = values[2]
            at = 3
        else:
            size = 0
        inode.size = size
        if shape & 3 * _OWNER:
            inode.uid, inode.gid = values[at : at + 2]
            at += 2
        else:
            inode.uid = inode.gid = 0
        mtime = values[at]
        at += 1
        if not shape & _MTIME:
            mtime *= _SECOND
        inode.mtime = mtime
        if shape & _CTIME:
            ctime = values[at]
            at += 1
        else:
            ctime = mtime
        inode.ctime = inode.last = ctime
        how = shape & 3 * _ATIME
        if not how:
            inode.atime = mtime
        elif how == _ATIME:
            inode.atime = ctime
        else:
            inode.atime = values[at] if how == 3 * _ATIME else ctime - values[at]
            at += 1
        place = shape & 3 * _PLACE
        if place == _PLACE:
            part = size if size < PART else PART
            inode.extents = [_new_tuple(Extent, (0, part, 0, 0, values[at], 0, b""))]
            at += 1
        elif place:
            inode.extents = _extents(hot)  # None raises TypeError
            at += 1
        else:
            inode.extents = []
        if shape & _VERSION:
            inode.version = values[at]
            at += 1
        else:
            inode.version = 1
        inode.floor = values[at] if shape & _FLOOR else NEVER
        inode.content, inode.explicit, inode.seen = _BOOLEANS[shape >> _FLAGS]
        inode.generation = inode.parent = inode.entries = inode.files = inode.rdev = 0
        inode.target = inode.xattrs = inode.born = None
        if shape & _TAIL:
            _fill_tail(inode, _tail(state[fixed.size :]))
    except (struct.error, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"the state of inode {inode.ino} is damaged: {error}") from error
    return inode


class Plain(NamedTuple):
    """What a check needs of most files: part 0 is one whole content, or nothing."""

    mode: int
    size: int
    content: int | None


def plain_of(state: bytes) -> Plain | None:
    """Return what is in a state, None if :func:`inode_of` has to say, or to raise.

    For those who read all inodes and need little of each: a third of the time.
    """
    try:
        place = _places[state[0] << 8 | state[1]]
        if place is None or place[0].size != len(state):
            return None
    except (IndexError, TypeError):
        return None
    fixed, size, content = place
    values = fixed.unpack(state)
    known = (values[1], values[size] if size else 0, values[content] if content else None)
    plain: Plain = _new_tuple(Plain, known)
    return plain


def shown_of(state: bytes) -> tuple[int, int, int, int, int, int, int, int] | None:
    """Return what stat(2) shows of a plain file, None if :func:`inode_of` has to say, or to raise.

    That is (size, bytes stored, atime, mtime, ctime, mode, uid, gid). Plain is a file of one part,
    which is one whole content or nothing. For listings: half the time.
    """
    try:
        shape = state[0] << 8 | state[1]
        if shape & _NOT_PLAIN or state[2] & 0xF0 != _REGULAR:
            return None
        values = _structs[shape & _FIXED].unpack(state)
    except (struct.error, IndexError, TypeError):
        return None
    at = 2
    size = uid = gid = 0
    if shape & 3 * _SIZE:
        size = values[2]
        at = 3
    if shape & 3 * _OWNER:
        uid, gid = values[at : at + 2]
        at += 2
    mtime = ctime = values[at] if shape & _MTIME else values[at] * _SECOND
    if shape & _CTIME:
        at += 1
        ctime = values[at]
    how = shape & 3 * _ATIME
    if not how:
        atime = mtime
    elif how == _ATIME:
        atime = ctime
    else:
        atime = values[at + 1] if how == 3 * _ATIME else ctime - values[at + 1]
    if size > PART:
        return None
    return size, size if shape & _PLACE else 0, atime, mtime, ctime, values[1], uid, gid


def type_of(state: bytes) -> int:
    """Return the type in the mode of a state, S_IFREG or the like (raises IndexError)."""
    return (state[2] & 0xF0) << 8


def began(state: bytes, made: int) -> int:
    """Return what :meth:`Inode.began` does for the inode of a state (raises ValueError).

    For listings of a past day, which need no more of most inodes: a third of the time.
    """
    try:
        shape = state[0] << 8 | state[1]
        fixed = _times[shape & _FIXED]
        values = fixed.unpack_from(state)
        mtime = values[0] if shape & _MTIME else values[0] * _SECOND
        last = values[1] if shape & _CTIME else mtime
        floor = values[-1] if shape & _FLOOR else NEVER
        if shape & _TAIL:
            tail = _tail(state[fixed.size :])
            if tail.b is not None:
                version = values[-2 if shape & _FLOOR else -1] if shape & _VERSION else 1
                if made != version:
                    return tail.b.get(made, floor)
            if tail.l is not None:
                last = tail.l
    except (struct.error, IndexError, TypeError, msgspec.MsgspecError) as error:
        raise ValueError(f"a state is damaged: {error}") from error
    return effective_time(bool(shape >> _FLAGS & rows.CONTENT), floor, mtime, last)


def _fill_tail(inode: Inode, tail: Tail) -> None:
    inode.parent, inode.entries, inode.files = tail.p, tail.n, tail.f
    inode.rdev, inode.target, inode.xattrs, inode.born = tail.r, tail.t, tail.x, tail.b
    if tail.l is not None:
        inode.last = tail.l
    if tail.e is not None:
        inode.extents = tail.e


def hot_row(inode: Inode) -> rows.Row | None:
    """Return the row of table ``hot``, None for an inode without hot extents."""
    segment = rows.hot_of(inode.extents)
    if segment is None:
        return None
    return inode.ino, segment, inode.last, rows.pack_extents(inode.extents)
