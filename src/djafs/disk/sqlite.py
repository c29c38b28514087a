"""SQLite, with a checksum in every page that is read from a disk.

Through apsw, which brings its own SQLite and the checksum VFS of the SQLite project
(https://sqlite.org/cksumvfs.html): a page that is not what was written fails as it is read,
instead of becoming a wrong answer. docs/adr/0004-page-checksums.md says why that is needed.

A process must not open one file with this SQLite and with that of the standard library: each
would give up the locks of the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, cast
from urllib.parse import quote

import apsw
import apsw.sqlite_extra

Error = apsw.Error
FullError = apsw.FullError
ConstraintError = apsw.ConstraintError

MEMORY = ":memory:"
"""The path of a database that is nowhere on disk."""

RESERVED = 8
"""Bytes of each page that hold its checksum."""


class Cursor(Protocol):
    """What a statement answers: rows are tuples."""

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        """One sequence for each column, which begins with its name."""

    def fetchone(self) -> Any:  # noqa: ANN401 (a tuple, None at the end)
        """Return the next row."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield them."""

    def __next__(self) -> Any:  # noqa: ANN401
        """Return the next row."""


class Connection(Protocol):
    """The part of apsw.Connection that djafs uses; apsw itself does not know types of columns."""

    @property
    def in_transaction(self) -> bool:
        """Whether a BEGIN has not ended yet."""

    def execute(self, statements: str, bindings: Sequence[Any] = ()) -> Cursor:
        """Run statements, the last one up to its first row."""

    def executemany(self, statements: str, bindings: Iterable[Sequence[Any]]) -> Cursor:
        """Run a statement for each of ``bindings``."""

    def create_scalar_function(
        self, name: str, callable: Callable[..., Any], numargs: int, *, deterministic: bool
    ) -> None:
        """Let statements call a function."""

    def changes(self) -> int:
        """Return the rows that the last statement changed."""

    def close(self) -> None:
        """Close it, whatever statements are under way."""

    def config(self, option: int, *arguments: Any) -> Any:  # noqa: ANN401
        """Set an option of SQLite's, or ask for it."""


_VFS = "cksmvfs"
_MODES = {
    "ro": apsw.SQLITE_OPEN_READONLY,
    "rw": apsw.SQLITE_OPEN_READWRITE,
    "rwc": apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
}
_TIMEOUT = 60_000  # milliseconds that a transaction waits for another


def connect(path: str, mode: str = "rwc", *, immutable: bool = False) -> Connection:
    """Open a database: ``"ro"``, ``"rw"``, or ``"rwc"`` to create it. Raises :data:`Error`.

    An empty path is a database of this connection alone, on disk if it grows. ``immutable``
    leaves the write-ahead log unread, and needs that nobody writes.
    """
    _load_checksums()
    place, vfs = path, None
    if path not in (MEMORY, ""):
        place = f"file:{quote(os.fsencode(os.path.abspath(path)))}" + "?immutable=1" * immutable
        vfs = _VFS
    flags = _MODES[mode] | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(place, flags=flags, vfs=vfs, statementcachesize=256)
    connection.set_busy_timeout(_TIMEOUT)
    # Else SQLite looks at what is bound to choose a plan, and so parses and plans the statement
    # again each time it is run: 12 of the 16 microseconds of finding a name.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return cast(Connection, connection)


def add_checksums(connection: Connection) -> None:
    """Have every page of a database that is still empty carry a checksum."""
    cast(apsw.Connection, connection).reserve_bytes(reserve=RESERVED)


def has_checksums(connection: Connection) -> bool:
    """Return whether the pages of a database carry checksums."""
    return cast(apsw.Connection, connection).reserve_bytes() == RESERVED


def leave_as_it_is(connection: Connection) -> None:
    """Have closing write nothing: what is in the write-ahead log stays there."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def copy(source: Connection, target: Connection) -> None:
    """Make ``target`` what ``source`` is now, while others may write to that."""
    one, other = cast(apsw.Connection, source), cast(apsw.Connection, target)
    with other.backup("main", one, "main") as backup:
        while not backup.done:
            backup.step()


def is_full(error: BaseException) -> bool:
    """Return whether SQLite failed because the disk is full."""
    return isinstance(error, FullError)


def is_damage(error: BaseException) -> bool:
    """Return whether SQLite failed because of what the file holds."""
    if isinstance(error, apsw.IOError):
        return getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
    return isinstance(error, apsw.CorruptError | apsw.NotADBError)


def _load_checksums() -> None:
    if _VFS not in apsw.vfs_names():
        connection = apsw.Connection(MEMORY)
        apsw.sqlite_extra.load(connection, "cksumvfs")  # for the whole process
        connection.close()
