"""The lines of the lookup log and of checkpoints, and the places between them.

The last field of a line is ``sum``, the CRC-32 of the line up to there, begun with the ``sum``
of the line before: a running hash, so that a line that changed, went missing or moved is seen.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

LINE = 4 << 20
"""Longest line that a reader takes: more is damage, and memory stays bounded."""

TAIL = re.compile(rb',"sum":(\d{1,10})\}\n\Z')
"""How a whole line ends; the group is its ``sum``."""


class Position(NamedTuple):
    """A place between two lines."""

    segment: int
    offset: int  # bytes from the beginning of the segment, uncompressed
    seq: int  # of the line before
    chain: int  # ``sum`` of the line before


START = Position(0, 0, 0, 0)
"""Before the first line of the first segment."""


def seal(line: bytes, chain: int) -> tuple[bytes, int]:
    """Return ``line`` (a JSON object) with its ``sum``, and that sum."""
    body = line[:-1]
    crc = crc32(body, chain)
    return b'%b,"sum":%d}\n' % (body, crc), crc
