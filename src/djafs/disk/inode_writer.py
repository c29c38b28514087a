"""Writing inodes to the index: their rows, and those that find the hot and the directories."""

from __future__ import annotations

from djafs.disk import sqlite, states
from djafs.model import Inode

_INODE = "INSERT OR REPLACE INTO inode (ino, nlink, state) VALUES (?, ?, ?)"
_HOT = "INSERT OR REPLACE INTO hot (ino, segment, last, extents) VALUES (?, ?, ?, ?)"
_DIRECTORY = "INSERT OR REPLACE INTO directory (ino, parent, files) VALUES (?, ?, ?)"


def put_inodes(db: sqlite.Connection, inodes: list[Inode]) -> None:
    """Write the rows of inodes, in place of those that they had.

    The rows of table ``hot`` of those that are not hot any more are the caller's to remove.
    """
    run = db.executemany
    run(_INODE, [states.inode_row(inode) for inode in inodes])
    # Most are but one archived content: that is no question for a function.
    several = [i for i in inodes if i.extents and (len(i.extents) > 1 or i.extents[0][2])]
    run(_HOT, [row for row in map(states.hot_row, several) if row])
    run(_DIRECTORY, [(i.ino, i.parent or None, i.files) for i in inodes if i.is_directory])
