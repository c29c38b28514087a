"""The seek table at the end of an archive, and the seal before it.

The table is that of the zstd seekable format; the seal adds the checksum that the table lacks.
Byte layout and reasons: docs/formats/archive.md. Pure: bytes in, values out.
"""

from __future__ import annotations

import itertools
import struct
import sys
import zlib
from array import array
from bisect import bisect_right
from dataclasses import dataclass

FRAME = 256 << 10
"""Bytes of tar in a frame, at most."""

MOST_ENTRIES = 1 << 20
"""Entries in a seek table, at most; a reader of a larger one would spend memory on forged bytes."""

MOST_COMPRESSED = FRAME + (FRAME >> 8) + 64
"""Bytes of a compressed frame, at most: those of ZSTD_compressBound for :data:`FRAME`."""

_HEAD = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_SEAL = struct.Struct("<II8sI")
_SEAL_MAGIC = 0x184D2A5D
_SEAL_NAME = b"djafs\0\0\1"
_TABLE_MAGIC = 0x184D2A5E
_FOOTER_MAGIC = 0x8F92EAB1
_HAS_CHECKSUMS = 0x80
_CHECKSUM_OF_NOTHING = 0x51D8E999
_ENTRY = 12

SEAL_SIZE = _SEAL.size
FOOTER_SIZE = _FOOTER.size


class SeekTableError(ValueError):
    """The bytes are no seek table of an archive."""


@dataclass(frozen=True)
class SeekTable:
    """Where the frames of an archive are: ``n`` frames, arrays of ``n + 1`` and ``n`` numbers.

    Both ``tar`` and ``file`` begin with 0 and ascend strictly; neighbours are at most
    :data:`FRAME` and :data:`MOST_COMPRESSED` apart.
    """

    tar: array[int]  # where each frame begins in the tar, then the size of the tar
    file: array[int]  # where each frame begins in the file, then the offset of the seal
    checksums: array[int]  # of the inflated bytes of each frame

    @property
    def frames(self) -> int:
        """Number of frames, the seal not counted."""
        return len(self.checksums)

    @property
    def tar_size(self) -> int:
        """Bytes of the whole tar."""
        return self.tar[-1]

    def frame_at(self, at: int) -> int:
        """Return the number of the frame that holds byte ``at`` of the tar (0 <= at < size)."""
        return bisect_right(self.tar, at) - 1


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def encode(file_sizes: array[int], tar_sizes: array[int], checksums: array[int]) -> bytes:
    """Build seal and seek table from one number for each frame (arrays of type ``I``)."""
    count = len(file_sizes) + 1
    if count > MOST_ENTRIES:
        raise ValueError(f"an archive has at most {MOST_ENTRIES - 1} frames")
    entries = array("I", bytes(count * _ENTRY))
    entries[0::3] = file_sizes + array("I", [SEAL_SIZE])
    entries[1::3] = tar_sizes + array("I", [0])
    entries[2::3] = checksums + array("I", [_CHECKSUM_OF_NOTHING])
    table = b"".join(
        (
            _HEAD.pack(_TABLE_MAGIC, count * _ENTRY + FOOTER_SIZE),
            _little_endian(entries).tobytes(),
            _FOOTER.pack(count, _HAS_CHECKSUMS, _FOOTER_MAGIC),
        )
    )
    return _SEAL.pack(_SEAL_MAGIC, 12, _SEAL_NAME, zlib.crc32(table)) + table


def tail_size(footer: bytes) -> int:
    """Return the size of seal and seek table, from the last :data:`FOOTER_SIZE` bytes of a file.

    Raises SeekTableError if these are not the end of an archive.
    """
    if len(footer) != FOOTER_SIZE:
        raise SeekTableError("it is too short for a seek table")
    count, flags, magic = _FOOTER.unpack(footer)
    if magic != _FOOTER_MAGIC or flags != _HAS_CHECKSUMS:
        raise SeekTableError("it does not end in a seek table")
    if not 0 < count <= MOST_ENTRIES:
        raise SeekTableError(f"its seek table claims {count} entries")
    return int(SEAL_SIZE + _HEAD.size + count * _ENTRY + FOOTER_SIZE)


def decode(tail: bytes, file_size: int) -> SeekTable:
    """Read seal and seek table, the last bytes of a file of ``file_size`` bytes.

    ``tail`` is as long as :func:`tail_size` says. Raises SeekTableError for anything that
    :func:`encode` would not have written for this file.
    """
    magic, size, name, checksum = _SEAL.unpack_from(tail)
    table = tail[SEAL_SIZE:]
    if (magic, size, name) != (_SEAL_MAGIC, 12, _SEAL_NAME):
        raise SeekTableError("its seal is missing")
    if zlib.crc32(table) != checksum:
        raise SeekTableError("its seek table fails the checksum of its seal")
    if _HEAD.unpack_from(table) != (_TABLE_MAGIC, len(table) - _HEAD.size):
        raise SeekTableError("its seek table is malformed")
    entries = _little_endian(array("I", table[_HEAD.size : -FOOTER_SIZE]))
    file_sizes, tar_sizes, checksums = entries[0::3], entries[1::3], entries[2::3]
    last = (file_sizes.pop(), tar_sizes.pop(), checksums.pop())
    if last != (SEAL_SIZE, 0, _CHECKSUM_OF_NOTHING):
        raise SeekTableError("the last entry of its seek table is not that of the seal")
    if checksums and not (
        0 < min(file_sizes) <= max(file_sizes) <= MOST_COMPRESSED
        and 0 < min(tar_sizes) <= max(tar_sizes) <= FRAME
    ):
        raise SeekTableError("its seek table has a frame of impossible size")
    found = SeekTable(
        array("Q", itertools.accumulate(tar_sizes, initial=0)),
        array("Q", itertools.accumulate(file_sizes, initial=0)),
        checksums,
    )
    if found.file[-1] + len(tail) != file_size:
        raise SeekTableError("its size is not that of its seek table")
    return found
