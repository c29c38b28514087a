"""Extents: where the bytes of a file lie.

The content of an inode is cut into *parts* of 16 MiB (docs/formats/archive.md says why). The
content of each part is a list of extents, ascending by offset and not overlapping; what no
extent covers is a hole and reads as zeros. Extents are values: a change makes a new list, so
that history may share them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

PART = 16 << 20
"""Bytes of content in a part, the last one excepted."""

CHUNK = 64 << 10
"""Bytes of hot content under one checksum, the last chunk of a run excepted."""


class Extent(NamedTuple):
    """A run of bytes of one part, and the place that holds them.

    A *hot* extent has ``segment > 0``: the bytes are at ``at`` in that hot segment, inside a run
    written at once that begins at ``base``, is ``span`` bytes long, and has one CRC-32 for each
    64 KiB of it in ``crcs`` (4 bytes little-endian each). An *archived* extent has
    ``segment == 0``: the bytes are at ``at`` in the content numbered ``base``; ``span`` is 0 and
    ``crcs`` empty.
    """

    offset: int  # in the part
    length: int  # > 0
    segment: int
    at: int
    base: int
    span: int = 0
    crcs: bytes = b""


class HotPiece(NamedTuple):
    """A hot extent's bytes, wherever in a file they belong. Fields as in :class:`Extent`."""

    length: int
    segment: int
    at: int
    base: int
    span: int
    crcs: bytes


class ArchivedPiece(NamedTuple):
    """Bytes of an archive: ``length`` bytes at ``at`` in its tar."""

    length: int
    archive: int
    at: int


class HolePiece(NamedTuple):
    """``length`` zeros."""

    length: int


Piece = HotPiece | ArchivedPiece | HolePiece


def slice_extent(extent: Extent, start: int, end: int) -> Extent:
    """Return the bytes ``start`` to ``end`` (offsets in the part) of ``extent``."""
    offset, _, segment, at, base, span, crcs = extent
    return Extent(start, end - start, segment, at + start - offset, base, span, crcs)


def clear(extents: list[Extent], start: int, end: int) -> None:
    """Make a hole from ``start`` to ``end`` in ``extents``, in place."""
    if not extents or start >= end:
        return
    first = bisect_left(extents, (start,))
    if first and extents[first - 1].offset + extents[first - 1].length > start:
        first -= 1
    last = bisect_left(extents, (end,))
    if first >= last:
        return
    kept = []
    head, tail = extents[first], extents[last - 1]
    if head.offset < start:
        kept.append(slice_extent(head, head.offset, start))
    if tail.offset + tail.length > end:
        kept.append(slice_extent(tail, end, tail.offset + tail.length))
    extents[first:last] = kept


def place(extents: list[Extent], extent: Extent) -> None:
    """Put ``extent`` over whatever ``extents`` hold there, in place."""
    if not extents or extents[-1].offset + extents[-1].length <= extent.offset:
        extents.append(extent)
        return
    clear(extents, extent.offset, extent.offset + extent.length)
    insort(extents, extent)


def window(extents: list[Extent], start: int, end: int) -> list[Extent]:
    """Return what ``extents`` hold between ``start`` and ``end``, cut to it."""
    if len(extents) == 1 and extents[0].offset == start and extents[0].length == end - start:
        return extents.copy()  # a small file that is read as a whole
    first = bisect_left(extents, (start,))
    if first and extents[first - 1].offset + extents[first - 1].length > start:
        first -= 1
    found = []
    for extent in extents[first:]:
        if extent.offset >= end:
            break
        stop = extent.offset + extent.length
        if extent.offset < start or stop > end:
            extent = slice_extent(extent, max(start, extent.offset), min(end, stop))  # noqa: PLW2901
        found.append(extent)
    return found
