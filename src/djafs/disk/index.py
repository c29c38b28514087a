"""The index: names to inodes to the places of their content, now and at any time.

SQLite in WAL mode (schema.sql). One :class:`Index` is one connection: the daemon has one that
reads for the answering thread and one that writes; other processes open their own, read-only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

from djafs.disk import contents, rows, sqlite, states
from djafs.disk.batch import ContentRow, Vacated
from djafs.disk.layout import INDEX_SUFFIXES, Layout
from djafs.disk.lookup_line import Position
from djafs.disk.lost import NOWHERE
from djafs.disk.names import by_name, hashes_of, key, provide_hash
from djafs.errors import IndexDamageError
from djafs.model import LIVE_ROOT, Dentry, Inode, Part

SCHEMA = 4
"""Changes whenever schema.sql does; an index of another schema is rebuilt."""

DEPTH = 1 << 16
"""Directories that a path may go through: more is a cycle in a damaged store."""

_DENTRY = by_name("d.ino, d.cookie, d.begin, d.made")
_INODE = f"SELECT {states.INODE} FROM inode i WHERE ino = ?"
_CONTENT = "SELECT held FROM content WHERE row = ?"
_ALIKE = "SELECT row, held FROM digest JOIN content USING (row) WHERE prefix = ?"
_HELD = "SELECT row, c.held FROM held JOIN content c USING (row) WHERE archive = ?"
_LIST = (
    "SELECT d.cookie, d.name, d.ino, i.state FROM dentry d CROSS JOIN inode i ON i.ino = d.ino"
    " WHERE d.parent = ? AND d.cookie > ? ORDER BY d.cookie LIMIT ?"
)
_LIST_PLUS = (
    f"SELECT d.cookie, d.name, {states.INODE}"
    " FROM dentry d CROSS JOIN inode i ON i.ino = d.ino"
    " WHERE d.parent = ? AND d.cookie > ? ORDER BY d.cookie LIMIT ?"
)
_FOLLOWING = (
    f"SELECT d.name, d.ino, d.cookie, d.begin, d.made, {states.INODE}"
    " FROM dentry d CROSS JOIN inode i ON i.ino = d.ino"
    " WHERE d.parent = ? AND d.cookie > ? ORDER BY d.cookie LIMIT ?"
)


class Index:
    """A connection to the index, and every question that the live tree asks of it."""

    def __init__(self, connection: sqlite.Connection) -> None:
        self.connection = connection
        self._mode, self._cache = "rw", 2 << 20
        # Once for a connection: SQLite refuses it while statements are running.
        provide_hash(connection)

    @classmethod
    def open(cls, layout: Layout, cache: int = 6 << 20) -> Index:
        """Open the index for reading and writing, with ``cache`` bytes of pages in memory.

        Raises IndexDamageError when it is missing, damaged, or of another schema.
        """
        try:
            index = cls._at(layout, "rw", cache)
            if index.state().get("schema") == SCHEMA and sqlite.has_checksums(index.connection):
                return index
        except sqlite.Error as error:
            raise IndexDamageError(f"{layout.index}: {error}") from error
        index.close()
        raise IndexDamageError(f"{layout.index} has another schema")

    @classmethod
    def open_read_only(cls, layout: Layout, cache: int = 2 << 20) -> Index:
        """Open the index of a store that another process may be writing."""
        return cls._at(layout, "ro", cache)

    @classmethod
    def _at(cls, layout: Layout, mode: str, cache: int) -> Index:
        """Connect to the index, and to the write-ahead log of just that file."""
        while True:
            before = _file_at(layout.index)
            connection = _connect(layout.index, mode, cache)
            # SQLite opens both by name as it reads first: another index may come between.
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            if _file_at(layout.index) == before:
                break
            connection.close()
        index = cls(connection)
        index._mode, index._cache = mode, cache
        return index

    def reopen(self, layout: Layout) -> None:
        """Go on with another index, which has the name now, and let go of this one.

        Raises IndexDamageError, sqlite.Error, and then nothing has changed.
        """
        other = self._at(layout, self._mode, self._cache)
        self.connection.close()
        self.connection = other.connection

    @staticmethod
    def bare_state(layout: Layout) -> dict[str, int]:
        """Return the table ``state`` of the index file without its write-ahead log.

        Empty when that says nothing: all of the index may still be in the write-ahead log.
        """
        try:
            connection = sqlite.connect(layout.index, "ro", immutable=True)
            try:
                return dict(connection.execute("SELECT key, value FROM state"))
            finally:
                connection.close()
        except sqlite.Error:
            return {}

    @classmethod
    def create(cls, path: str, cache: int = 6 << 20) -> Index:
        """Create an empty index at ``path``, replacing what is there."""
        if path != sqlite.MEMORY:
            _make_file(path)
        connection = _connect(path, "rw", cache)
        if path != sqlite.MEMORY:
            sqlite.add_checksums(connection)
        index = cls(connection)
        schema = resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")
        connection.execute(schema).fetchall()  # to its end: it begins a transaction
        connection.execute("INSERT INTO state VALUES ('schema', ?)", (SCHEMA,))
        connection.execute("COMMIT")
        return index

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def state(self) -> dict[str, int]:
        """Return the table ``state``."""
        return dict(self.connection.execute("SELECT key, value FROM state"))

    def holds_log(self) -> bool:
        """Return whether the write-ahead log holds anything, after moving it into the file."""
        row = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(row[1] > 0)

    def vacated(self) -> dict[tuple[int, bytes], Vacated]:
        """Return the names that lost an open version a moment ago, oldest first."""
        query = "SELECT parent, name, ino, begin, t FROM vacated ORDER BY place"
        return {
            (parent, name): Vacated(*row) for parent, name, *row in self.connection.execute(query)
        }

    def position(self) -> Position:
        """Return the position of the log up to which the index is applied."""
        state = self.state()
        return Position(*(state.get(key, 0) for key in ("segment", "offset", "seq", "chain")))

    def inode(self, ino: int) -> Inode | None:
        """Return an inode of the live tree."""
        row = self.connection.execute(_INODE, (ino,)).fetchone()
        return states.inode_of(row) if row else None

    def dentry(self, parent: int, name: bytes) -> Dentry | None:
        """Return what ``name`` is in directory ``parent``."""
        row = self.connection.execute(_DENTRY, key(parent, name)).fetchone()
        if row is None:
            return None
        ino, cookie, begin, made = row
        return Dentry(ino, cookie, begin or 0, made or 0)

    def name_hashes(self, parent: int) -> set[int]:
        """Return the hashes of all names in a directory."""
        return hashes_of(self.connection, parent)

    def entries(self, parent: int, after: int, limit: int) -> list[tuple[int, bytes, int, bytes]]:
        """Return (cookie, name, ino, state) of up to ``limit`` entries behind cookie ``after``."""
        return self.connection.execute(_LIST, (parent, after, limit)).fetchall()

    def entries_plus(self, parent: int, after: int, limit: int) -> list[rows.Row]:
        """Return cookie, name and row of the inode of up to ``limit`` entries behind ``after``."""
        return self.connection.execute(_LIST_PLUS, (parent, after, limit)).fetchall()

    def are_neighbours(self, parent: int, first: int, second: int) -> bool:
        """Return whether there is no entry between two cookies of a directory."""
        query = "SELECT 1 FROM dentry WHERE parent = ? AND cookie > ? AND cookie < ? LIMIT 1"
        return self.connection.execute(query, (parent, first, second)).fetchone() is None

    def following(
        self, parent: int, after: int, limit: int
    ) -> Iterator[tuple[bytes, Dentry, rows.Row]]:
        """Yield name, dentry and row of the inode of up to ``limit`` entries behind ``after``."""
        for row in self.connection.execute(_FOLLOWING, (parent, after, limit)).fetchall():
            name, ino, cookie, begin, made = row[:5]
            yield name, Dentry(ino, cookie, begin or 0, made or 0), row[5:]

    def part(self, ino: int, part: int) -> Part | None:
        """Return part ``part`` (1 and up) of a file."""
        row = self.connection.execute(
            "SELECT extents, version FROM part WHERE ino = ? AND part = ?", (ino, part)
        ).fetchone()
        return Part(rows.unpack_extents(row[0]), row[1]) if row else None

    def part_numbers(self, ino: int) -> list[int]:
        """Return the numbers of the parts from 1 up that hold anything."""
        found = self.connection.execute("SELECT part FROM part WHERE ino = ?", (ino,))
        return [number for (number,) in found]

    def content(self, cid: int) -> ContentRow | None:
        """Return where a content lies."""
        held = self.content_row(contents.row_of(cid))
        return contents.pick(cid, held) if held else None

    def content_row(self, number: int) -> bytes | None:
        """Return a row of contents (see :mod:`djafs.disk.contents`)."""
        row = self.connection.execute(_CONTENT, (number,)).fetchone()
        return row[0] if row else None

    def find_content(self, digest: bytes) -> int | None:
        """Return the content that has this SHA-256; not one that is lost."""
        for cid, _ in self.contents_with(digest):
            return cid
        return None

    def contents_with(self, digest: bytes) -> Iterator[tuple[int, ContentRow]]:
        """Yield the contents that have this SHA-256, and their numbers; not those that are lost."""
        for number, held in self.connection.execute(_ALIKE, (contents.prefix_of(digest),)):
            for cid, content in contents.unpack(number, held).items():
                if content.digest == digest and content.archive != NOWHERE:
                    yield cid, content

    def contents(self) -> Iterator[tuple[int, ContentRow]]:
        """Yield every content with its number, ascending."""
        for number, held in self.connection.execute("SELECT row, held FROM content ORDER BY row"):
            yield from contents.unpack(number, held).items()

    def contents_of(self, archive: int) -> list[tuple[int, ContentRow]]:
        """Return the contents of an archive with their numbers, in the order of its tar."""
        found = [
            (cid, content)
            for number, held in self.connection.execute(_HELD, (archive,))
            for cid, content in contents.unpack(number, held).items()
            if content.archive == archive
        ]
        found.sort(key=lambda entry: entry[1].at)
        return found

    def archives(self) -> list[int]:
        """Return the archives that the log knows, or has contents in."""
        query = "SELECT archive FROM archive UNION SELECT archive FROM held ORDER BY archive"
        return [number for (number,) in self.connection.execute(query)]

    def is_used(self, archive: int) -> bool:
        """Return whether there is any content in an archive."""
        query = "SELECT 1 FROM held WHERE archive = ? LIMIT 1"
        return self.connection.execute(query, (archive,)).fetchone() is not None

    def count_files(self, ino: int) -> int:
        """Return the names of regular files in and below directory ``ino``."""
        row = self.connection.execute(
            "WITH RECURSIVE below(ino) AS (SELECT ? UNION SELECT d.ino FROM directory d JOIN below"
            " ON d.parent = below.ino) SELECT sum(files) FROM directory JOIN below USING (ino)",
            (ino,),
        ).fetchone()
        return row[0] or 0

    def names_of(self, ino: int) -> Iterator[tuple[int, bytes]]:
        """Yield (parent, name) of every live name of an inode."""
        yield from self.connection.execute("SELECT parent, name FROM dentry WHERE ino = ?", (ino,))

    def path_of(self, ino: int) -> bytes | None:
        """Return a path of a live inode relative to ``live/``, None when it has no name."""
        names: list[bytes] = []
        for _ in range(DEPTH):
            row = self.connection.execute(
                "SELECT parent, name FROM dentry WHERE ino = ? LIMIT 1", (ino,)
            ).fetchone()
            if row is None:
                return b"/".join(reversed(names)) if names and ino == LIVE_ROOT else None
            names.append(row[1])
            ino = row[0]
        return None

    def smallest_hot_segment(self) -> int | None:
        """Return the smallest hot segment that anything in the index needs."""
        tables = ("part", "version", "past_part")
        # In one statement, so of one state of the index: content moves between tables.
        least = "SELECT min(segment) AS hot FROM hot" + "".join(
            f" UNION ALL SELECT min(hot) FROM {table} WHERE hot IS NOT NULL" for table in tables
        )
        row = self.connection.execute(f"SELECT min(hot) FROM ({least})").fetchone()
        return None if row[0] is None else int(row[0])


def open_content_finder(layout: Layout) -> Callable[[bytes], int | None]:
    """Return a function from a SHA-256 to the content that has it, on an own connection."""
    return Index.open_read_only(layout).find_content


def _file_at(path: str) -> tuple[int, int]:
    """Return which file has a name (raises IndexDamageError when there is none)."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise IndexDamageError(f"{path} is missing") from error
    return status.st_dev, status.st_ino


def _make_file(path: str) -> None:
    for suffix in INDEX_SUFFIXES:
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    # Names and attributes are for those who may read the store, like all else in it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _connect(path: str, mode: str, cache: int) -> sqlite.Connection:
    connection = sqlite.connect(path, mode)
    settings: dict[str, Any] = {
        "cache_size": -(cache >> 10),
        "synchronous": "NORMAL",
        "temp_store": "MEMORY",
        "trusted_schema": "OFF",
        "journal_size_limit": 16 << 20,
    }
    for name, value in settings.items():
        connection.execute(f"PRAGMA {name} = {value}")
    return connection
