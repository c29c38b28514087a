"""Extents: where the bytes of a file lie.

The content of an inode is cut into *parts* of 16 MiB (docs/formats/archive.md says why). The
content of each part is a list of extents, ascending by offset and not overlapping; what no
extent covers is a hole and reads as zeros. Extents are values: a change makes a new list, so
that history may share them.
"""

from __future__ import annotations

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
