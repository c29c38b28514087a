"""Content that is lost: it is in archive 0, which does not exist (docs/formats/lookup-log.md).

Its SHA-256 stays known, so that a repair recognises it wherever it turns up again. Of content
that was lost before it was packed no SHA-256 is known, only the CRC-32 of at most 64 KiB: this
stands in the place of a digest, with the number of the content, so that no two are the same.
"""

from __future__ import annotations

import struct

NOWHERE = 0
"""The number of the archive that lost content is in."""

_SUM = struct.Struct(">I20xQ")
_BLANK = bytes(20)


def stand_in(crc: int, cid: int) -> bytes:
    """Return what stands in the place of a SHA-256 that nobody knows (32 bytes)."""
    return _SUM.pack(crc, cid)


def sum_in(digest: bytes) -> int | None:
    """Return the CRC-32 in a stand-in, None for a true SHA-256."""
    return int.from_bytes(digest[:4], "big") if digest[4:24] == _BLANK else None
