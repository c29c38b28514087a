"""Copies of what must hold still while it is checked, in a directory of their own.

Nothing here takes the store's lock or writes into the store.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType

from djafs.disk import sqlite
from djafs.disk.index import SCHEMA, Index
from djafs.disk.layout import Layout
from djafs.errors import DjafsError, IndexDamageError

_ATTEMPTS = 5
"""Copies of an index that is not in use, before it is taken to be in use after all."""

_SCRATCH = """
CREATE TABLE affected (finding INTEGER, path TEXT, PRIMARY KEY (finding, path)) WITHOUT ROWID;
-- Contents that cannot be read from the archive where they were looked for.
CREATE TABLE bad_content (cid INTEGER, archive INTEGER, finding INTEGER, PRIMARY KEY (cid));
-- Chunks of the hot log that something needs, then those of them that are damaged.
CREATE TABLE chunk (
    segment INTEGER, start INTEGER, length INTEGER, crc INTEGER,
    PRIMARY KEY (segment, start, length, crc)
) WITHOUT ROWID;
CREATE TABLE bad_chunk (
    segment INTEGER, start INTEGER, length INTEGER, finding INTEGER,
    PRIMARY KEY (segment, start, length)
) WITHOUT ROWID;
"""


class WorkspaceError(DjafsError):
    """There is no room, or no right, to keep what a check needs."""


def is_mounted(layout: Layout) -> bool:
    """Return whether some process holds the store's lock, without touching the lock.

    A process in another PID namespace cannot be seen; nothing here breaks if one is missed.
    """
    try:
        status = os.stat(layout.lock)
        with open(layout.lock, "rb") as file:
            owner = file.read(64).split()[:1]
        with open("/proc/locks", "rb") as file:
            locks = file.read().splitlines()
    except OSError:
        return False
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
    for lock in locks:
        fields = lock.split()
        if len(fields) < 6 or fields[1] != b"FLOCK" or b"->" in fields:
            continue
        place, _, inode = fields[5].decode().rpartition(":")
        # Some filesystems show another device there than stat(2) does.
        if inode == str(status.st_ino) and (place == device or fields[4:5] == owner):
            return True
    return False


class Affected:
    """The paths that a finding concerns: kept on disk, sorted, each once."""

    def __init__(self, scratch: sqlite.Connection, finding: int) -> None:
        self._scratch = scratch
        self.number = finding

    def add(self, paths: Iterable[str]) -> None:
        """Add paths."""
        self._scratch.executemany(
            "INSERT OR IGNORE INTO affected VALUES (?, ?)", ((self.number, p) for p in paths)
        )

    def __bool__(self) -> bool:
        """Return whether there are any."""
        query = "SELECT 1 FROM affected WHERE finding = ? LIMIT 1"
        return self._scratch.execute(query, (self.number,)).fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        """Yield them in order."""
        query = "SELECT path FROM affected WHERE finding = ? ORDER BY path"
        for (path,) in self._scratch.execute(query, (self.number,)):
            yield path


class Workspace:
    """A directory that is gone when the check is over, and what is in it.

    It is made in ``$TMPDIR``, else in ``/var/tmp``, which is meant for large files; it needs
    about twice the size of the index.
    """

    def __init__(self, layout: Layout, *, held: bool = False) -> None:
        """Make one; ``held`` says that the caller has the lock of the store."""
        self._layout = layout
        self._held = held
        self._directory = tempfile.TemporaryDirectory(prefix="djafs-validate-", dir=_spacious())
        self.directory = self._directory.name
        self.scratch = sqlite.connect(self.path("scratch"))
        _make_fast(self.scratch)
        self.scratch.execute(_SCRATCH)
        self._findings = 0
        self._open: list[sqlite.Connection] = [self.scratch]

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._open:
            connection.close()
        self._directory.cleanup()

    @property
    def is_mounted(self) -> bool:
        """Whether another process may change the store meanwhile."""
        return not self._held and is_mounted(self._layout)

    def path(self, name: str) -> str:
        """Return the path of a file in the workspace."""
        return os.path.join(self._directory.name, name)

    def affected(self) -> Affected:
        """Begin a list of affected paths."""
        self._findings += 1
        return Affected(self.scratch, self._findings)

    def new_index(self) -> Index:
        """Return an empty index."""
        index = self._opened(Index(sqlite.connect(self.path("rebuilt.sqlite"))))
        # An index that is created on disk is synced, table by table.
        blank = Index.create(sqlite.MEMORY)
        sqlite.copy(blank.connection, index.connection)
        blank.close()
        return index

    def copy_index(self) -> Index:
        """Return a copy of the store's index as it is at some moment of the call.

        Raises IndexDamageError when it is missing or cannot be read.
        """
        target = self.path("index.sqlite")
        if not os.path.lexists(self._layout.index):
            raise IndexDamageError(f"{self._layout.index} is missing")
        try:
            if self.is_mounted or not self._copy_files(target):
                self._back_up(target)
            return self._opened(Index(sqlite.connect(target)))
        except (sqlite.Error, OSError) as error:
            raise IndexDamageError(str(error)) from error

    def _copy_files(self, target: str) -> bool:
        """Copy the index and its write-ahead log as files; return whether they held still.

        Opening them in place would make SQLite write beside them.
        """
        source = self._layout.index
        for _ in range(_ATTEMPTS):
            before = _stamp(source)
            for suffix in ("", "-wal"):
                if os.path.exists(target + suffix):
                    os.unlink(target + suffix)
                if os.path.exists(source + suffix):
                    shutil.copyfile(source + suffix, target + suffix, follow_symlinks=True)
            if before == _stamp(source) and not self.is_mounted:
                return True
        return False

    def _back_up(self, target: str) -> None:
        """Copy the index of a running daemon, which goes on writing meanwhile."""
        for suffix in ("", "-wal"):
            if os.path.exists(target + suffix):
                os.unlink(target + suffix)
        source = Index.open_read_only(self._layout)
        copy = sqlite.connect(target)
        try:
            sqlite.copy(source.connection, copy)
        finally:
            copy.close()
            source.close()

    def _opened(self, index: Index) -> Index:
        self._open.append(index.connection)
        _make_fast(index.connection)
        return index


def index_problems(index: Index) -> list[str]:
    """Return what is wrong with an index as a database: nothing if it is whole.

    Raises IndexDamageError when it has another schema, or is no index at all.
    """
    try:
        schema = index.state().get("schema")
        if schema != SCHEMA:
            raise IndexDamageError(f"it has schema {schema}, this djafs makes {SCHEMA}")
        rows = index.connection.execute("PRAGMA integrity_check(20)").fetchall()
    except sqlite.Error as error:
        return [str(error)]
    return [] if rows == [("ok",)] else [str(row[0]).replace("\n", ": ") for row in rows]


def _make_fast(connection: sqlite.Connection) -> None:
    # A workspace need not survive anything; sorting must not take memory.
    for setting in ("journal_mode = MEMORY", "synchronous = OFF", "temp_store = FILE"):
        connection.execute(f"PRAGMA {setting}").fetchall()


def _spacious() -> str | None:
    chosen = os.environ.get("TMPDIR")
    if chosen is None and os.access("/var/tmp", os.W_OK | os.X_OK):
        return "/var/tmp"
    return chosen


def _stamp(source: str) -> list[tuple[int, int, int] | None]:
    stamps: list[tuple[int, int, int] | None] = []
    for path in (source, source + "-wal"):
        try:
            status = os.stat(path)
            stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            stamps.append(None)
    return stamps
