"""Which contents anything refers to: ``python -m djafs.packing.survey ROOT PARENT``.

A process of its own, as the packer is: it reads every extent in the index. It does so in short
transactions, a page at a time, so that the write-ahead log of the index never grows behind it; the
live tree before history, because content goes from there to here and not back. Content that a
clone carries across meanwhile is for the caller to note.
"""

from __future__ import annotations

import sys
from typing import Any

from djafs.disk import rows, sqlite, states
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.extents import Extent
from djafs.packing import child
from djafs.packing.asked import answer

PAGE = 4096
"""Rows read in one transaction."""

_TABLES = (("part", ("ino", "part")), ("version", ("ino", "day")),
           ("past_part", ("ino", "part", "until")))  # fmt: skip
_INODES = f"SELECT {states.INODE} FROM inode i WHERE ino > ? ORDER BY ino LIMIT {PAGE}"


class Reached:
    """A set of content numbers: one bit for each."""

    def __init__(self, bits: bytes | bytearray = b"") -> None:
        self.bits = bytearray(bits)

    def add(self, cid: int) -> None:
        """Add a content."""
        place = cid >> 3
        if place >= len(self.bits):
            self.bits.extend(bytes(place - len(self.bits) + 4096))
        self.bits[place] |= 1 << (cid & 7)

    def add_all(self, extents: list[Extent]) -> None:
        """Add the contents that some extents refer to."""
        for extent in extents:
            if not extent.segment:
                self.add(extent.base)

    def __contains__(self, cid: int) -> bool:
        """Return whether a content is in the set."""
        place = cid >> 3
        return place < len(self.bits) and bool(self.bits[place] >> (cid & 7) & 1)


def survey(db: sqlite.Connection) -> Reached:
    """Return every content that an extent of the index refers to."""
    reached = Reached()
    ino = -1
    while found := db.execute(_INODES, (ino,)).fetchall():
        for row in found:
            reached.add_all(states.inode_of(row).extents)
        ino = found[-1][0]
    for table, key in _TABLES:
        columns = ", ".join(key)
        marks = ", ".join("?" * len(key))
        query = (
            f"SELECT extents, {columns} FROM {table} WHERE ({columns}) > ({marks})"
            f" ORDER BY {columns} LIMIT {PAGE}"
        )
        last: tuple[Any, ...] = (-1,) * len(key)
        while page := db.execute(query, last).fetchall():
            for stored, *_ in page:
                reached.add_all(rows.unpack_extents(stored))
            last = page[-1][1:]
    return reached


def main() -> int:
    """Run as the daemon's child, and write one message to stdout."""
    (root,) = child.begin(1)

    def reached() -> bytes:
        return bytes(survey(Index.open_read_only(Layout(root)).connection).bits)

    return answer("reached", reached)


if __name__ == "__main__":
    sys.exit(main())
