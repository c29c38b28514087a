"""What the index said a moment ago, and is likely to be asked for again.

Programs read files in the order in which they list them, and those of one directory lie side by
side in an archive. So inodes that were listed are kept for those that then read them, and
contents whose row in the index was read for a neighbour.
"""

from __future__ import annotations

from djafs.disk import contents, rows, states
from djafs.disk.batch import ContentRow
from djafs.disk.index import Index
from djafs.model import Inode

LISTED = 1024
"""Inodes that are kept."""

GROUPS = 64
"""Rows of contents that are kept, of some 10 KiB each when they are unpacked."""


class Recent:
    """Answers of the index. All of them are to be forgotten when the index has changed."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._listed: dict[int, rows.Row] = {}
        self._groups: dict[int, bytes | dict[int, ContentRow]] = {}

    def forget(self) -> None:
        """Forget everything."""
        self._listed.clear()
        self._groups.clear()

    def keep(self, listed: dict[int, rows.Row]) -> None:
        """Keep rows of inodes, by number: few of those listed are asked for one by one."""
        if len(self._listed) + len(listed) > LISTED:
            self._listed.clear()
        if len(listed) <= LISTED:
            self._listed.update(listed)

    def inode(self, ino: int) -> Inode | None:
        """Return an inode of the live tree, as :meth:`Index.inode` does."""
        row = self._listed.get(ino)
        return states.inode_of(row) if row is not None else self._index.inode(ino)

    def content(self, cid: int) -> ContentRow | None:
        """Return where a content lies, as :meth:`Index.content` does."""
        number = contents.row_of(cid)
        held = self._groups.get(number)
        if held is None:
            held = self._index.content_row(number)
            if held is None:
                return None
            if len(self._groups) >= GROUPS:
                self._groups.clear()
            self._groups[number] = held
            return contents.pick(cid, held)  # a quarter of the work of all of them
        if isinstance(held, bytes):
            held = self._groups[number] = contents.unpack(number, held)
        return held.get(cid)
