"""Which files hold a content, or bytes of the hot cache, and where these files are or were."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from djafs.disk import rows, states
from djafs.disk.index import Index
from djafs.extents import PART, Extent
from djafs.tools.validation.extent_rules import extents_problem

_LISTS = (
    "SELECT extents, ino, part FROM part",
    "SELECT extents, ino, 0 FROM version WHERE extents IS NOT NULL",
    "SELECT extents, ino, part FROM past_part",
)


class Holder(NamedTuple):
    """A file, live or of the past, and the bytes of it that some extent has."""

    ino: int
    part: int
    extent: Extent

    @property
    def offset(self) -> int:
        """Where in the file the extent begins."""
        return self.part * PART + self.extent.offset


def holders(index: Index) -> Iterator[Holder]:
    """Yield every extent of every version of every file; malformed lists are left out."""
    for ino, part, extents in _lists(index):
        if extents_problem(extents) is None:
            yield from (Holder(ino, part, extent) for extent in extents)


def _lists(index: Index) -> Iterator[tuple[int, int, list[Extent]]]:
    """Yield (inode, part, extents) of every list that can be read."""
    for row in index.connection.execute(f"SELECT {states.INODE} FROM inode i"):
        with contextlib.suppress(ValueError):
            yield row[0], 0, states.inode_of(row).extents
    for query in _LISTS:
        for stored, ino, part in index.connection.execute(query):
            with contextlib.suppress(msgspec.MsgspecError):
                yield ino, part, rows.unpack_extents(stored)


def paths_of(index: Index, ino: int) -> list[bytes]:
    """Return the paths that an inode has or had, relative to ``live/``."""
    found: list[bytes] = []
    query = "SELECT parent, name FROM dentry WHERE ino = ? UNION SELECT parent, name FROM binding"
    for parent, name in index.connection.execute(f"{query} WHERE ino = ?", (ino, ino)).fetchall():
        above = index.path_of(parent)
        found.append(b"%s/%s" % (above, name) if above else name)
    return found
