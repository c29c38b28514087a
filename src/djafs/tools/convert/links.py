"""Which names are the same file: hard links of the source, and what became of them.

Kept in a temporary database on disk: there may be more of them than fit into memory.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class Known(NamedTuple):
    """The inode of the store that a file of the source with several names became."""

    ino: int
    brought: bool  # in this run


class Links:
    """A table from (device, inode) of the source to inodes of the store."""

    def __init__(self) -> None:
        # An empty name is a temporary file that SQLite removes by itself.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(
            "CREATE TABLE link (device, inode, ino, brought, PRIMARY KEY (device, inode))"
            " WITHOUT ROWID; CREATE INDEX link_ino ON link (ino);"
        )

    def get(self, device: int, inode: int) -> Known | None:
        """Return what a file of the source has become."""
        row = self._db.execute(
            "SELECT ino, brought FROM link WHERE device = ? AND inode = ?",
            (str(device), str(inode)),
        ).fetchone()
        return Known(row[0], bool(row[1])) if row else None

    def put(self, device: int, inode: int, known: Known) -> None:
        """Note what a file of the source has become."""
        row = (str(device), str(inode), known.ino, known.brought)
        self._db.execute("INSERT OR REPLACE INTO link VALUES (?, ?, ?, ?)", row)

    def is_taken(self, ino: int) -> bool:
        """Return whether an inode of the store is what some file of the source has become."""
        query = "SELECT 1 FROM link WHERE ino = ? LIMIT 1"
        return self._db.execute(query, (ino,)).fetchone() is not None

    def close(self) -> None:
        """Forget everything."""
        self._db.close()
