"""Every version of every name in a legacy store, in order; on disk, for there may be many."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

_SCHEMA = """
CREATE TABLE version (
    path BLOB, modified INTEGER, number INTEGER, target TEXT, size INTEGER, zip TEXT, member TEXT,
    hot BLOB
);
CREATE INDEX version_path ON version (path, modified, number);
CREATE TABLE used (digest TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Version(NamedTuple):
    """One version of a file.

    ``modified`` is None where no table says when. Its content is that of ``target`` (empty: the
    name was deleted), or the file ``hot``, or a ``member`` of a ZIP file that no table names.
    """

    path: bytes
    modified: int | None
    target: str
    size: int
    zip: str = ""
    member: str = ""
    hot: bytes | None = None


class Catalog:
    """Collects versions, then yields them by name and time."""

    def __init__(self) -> None:
        # An empty name is a temporary file that SQLite removes by itself.
        self.connection = sqlite3.connect("", isolation_level=None)
        self.connection.executescript(_SCHEMA)
        self._number = 0

    def add(self, version: Version) -> None:
        """Add a version, unless it is there: tables of several directories may have it."""
        path, modified, target, size, zip_path, member, hot = version
        query = "SELECT 1 FROM version WHERE path = ? AND modified IS ? AND target = ? AND hot IS ?"
        if self.connection.execute(query, (path, modified, target, hot)).fetchone():
            return
        self._number += 1
        row = (path, modified, self._number, target, size, zip_path, member, hot)
        self.connection.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def has(self, path: bytes) -> bool:
        """Return whether any version of a name is known."""
        query = "SELECT 1 FROM version WHERE path = ? LIMIT 1"
        return self.connection.execute(query, (path,)).fetchone() is not None

    def names(self) -> int:
        """Return how many names there are."""
        return int(
            self.connection.execute("SELECT count(DISTINCT path) FROM version").fetchone()[0]
        )

    def versions(self) -> Iterator[Version]:
        """Yield all versions, by path, oldest first."""
        query = (
            "SELECT path, modified, target, size, zip, member, hot FROM version"
            " ORDER BY path, modified, number"
        )
        for row in self.connection.execute(query):
            yield Version(*row)

    def use(self, digest: str) -> None:
        """Note that a content has a name."""
        self.connection.execute("INSERT OR IGNORE INTO used VALUES (?)", (digest,))

    def is_used(self, digest: str) -> bool:
        """Return whether a content has a name."""
        query = "SELECT 1 FROM used WHERE digest = ?"
        return self.connection.execute(query, (digest,)).fetchone() is not None

    def close(self) -> None:
        """Forget everything."""
        self.connection.close()
