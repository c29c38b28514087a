"""Snapshots: the tree at the end of a day, read from the index (docs/architecture.md).

Everything here is asked of the index alone, so it can be asked by any process; the daemon brings
the index up to date before it asks.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterable
from typing import NamedTuple

from djafs.disk import rows, sqlite, states
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.names import by_name, key
from djafs.extents import Extent
from djafs.model import LIVE_ROOT, Calendar, Inode
from djafs.store.tree import Listed

_JOIN = "CROSS JOIN inode i ON i.ino = d.ino"
_LAST = "(SELECT max(day) FROM binding b WHERE b.parent = d.parent AND b.name = d.name)"
_TYPE = "i.ino, i.nlink, i.state"


def _columns(last: str, inode: str) -> str:
    """Return the columns of the row of a live name; ``last`` is the day of its last binding."""
    return f"d.name, d.cookie, d.begin, d.made, {last}, {inode}"


def _page(last: str, inode: str) -> str:
    return (
        f"SELECT {_columns(last, inode)} FROM dentry d {_JOIN}"
        " WHERE d.parent = ? AND d.cookie > ? ORDER BY d.cookie LIMIT ?"
    )


_LIVE_NAME = by_name(_columns(_LAST, states.INODE), _JOIN)
# By whether any name of the directory has history.
_STATES = (_page("NULL", states.INODE), _page(_LAST, states.INODE))
_TYPES = (_page("NULL", _TYPE), _page(_LAST, _TYPE))
_HISTORY = "SELECT 1 FROM binding WHERE parent = ? LIMIT 1"
_BINDINGS = "SELECT day, ino, made FROM binding WHERE parent = ?1 AND name = ?2"
_SINCE = f"{_BINDINGS} AND day >= ?3 ORDER BY day"
# From the last binding by a day on that surely began on its own day, to the first one behind it.
_AROUND = (
    f"{_BINDINGS} AND day >= ifnull((SELECT day FROM binding WHERE parent = ?1 AND name = ?2"
    " AND day <= ?3 AND (made IS NULL OR made = 3) ORDER BY day DESC LIMIT 1), 0)"
    " AND day <= ifnull((SELECT day FROM binding WHERE parent = ?1 AND name = ?2"
    " AND day > ?3 AND (made IS NULL OR made = 3) ORDER BY day LIMIT 1), 1 << 30) ORDER BY day"
)
# Names one after the other, whatever number of bindings each has.
_NAMES = (
    "WITH RECURSIVE found(name) AS"
    " (SELECT min(name) FROM binding WHERE parent = ?1 AND name > ?2 UNION ALL"
    " SELECT (SELECT min(b.name) FROM binding b WHERE b.parent = ?1 AND b.name > found.name)"
    " FROM found WHERE name IS NOT NULL LIMIT ?3)"
    " SELECT name FROM found WHERE name IS NOT NULL"
)
_VERSION = f"SELECT {rows.VERSION} FROM version WHERE ino = ?"

_listed = Listed._make

NO_DAY = 1 << 30
"""Later than any day."""


class Found(NamedTuple):
    """A name in a snapshot. ``place`` orders the entries of a directory (Snapshots.names)."""

    name: bytes
    inode: Inode
    place: Place


class Place(NamedTuple):
    """Where a listing of a snapshot goes on: behind a cookie of the live tree, or a past name."""

    cookie: int
    name: bytes | None = None


class _Span(NamedTuple):
    begin: int  # day
    ino: int | None
    recorded: int  # day in the index: later than ``begin`` for a directory that is older


class Snapshots:
    """Questions about past days, over one connection. Thread-safe."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        self._index = index
        self._calendar = calendar
        self._lock = threading.RLock()

    @property
    def _db(self) -> sqlite.Connection:
        return self._index.connection

    def reopen(self, layout: Layout) -> None:
        """Go on with another index, which has the name now (raises as :meth:`Index.reopen`)."""
        with self._lock:
            self._index.reopen(layout)

    # Days

    def days(self) -> list[int]:
        """Return the days that saw a change, ascending."""
        with self._lock:
            return [day for (day,) in self._db.execute("SELECT day FROM day ORDER BY day")]

    def first_day(self) -> int | None:
        """Return the first day that saw a change."""
        with self._lock:
            row = self._db.execute("SELECT min(day) FROM day").fetchone()
        return None if row is None else row[0]

    # Inodes

    def inode(self, ino: int, day: int) -> Inode | None:
        """Return the state of an inode at the end of ``day``."""
        with self._lock:
            row = self._db.execute(
                f"SELECT {states.INODE} FROM inode i WHERE ino = ? AND nlink > 0", (ino,)
            ).fetchone()
            if row is not None:
                return self._state(ino, states.inode_of(row), day)
            return self._version(ino, None, day)

    def _state(self, ino: int, live: Inode, day: int) -> Inode:
        """Return the state of a live inode at the end of ``day``."""
        if self._calendar.day_of(live.effective()) <= day:
            return live
        return self._version(ino, live, day) or live

    def _version(self, ino: int, live: Inode | None, day: int) -> Inode | None:
        row = self._db.execute(
            _VERSION + " AND day <= ? ORDER BY day DESC LIMIT 1", (ino, day)
        ).fetchone()
        if row is None:
            # Shown although it began later: a directory that its contents make older.
            row = self._db.execute(_VERSION + " ORDER BY day LIMIT 1", (ino,)).fetchone()
            if row and live and self._calendar.day_of(live.effective()) <= row[1]:
                return live
        return rows.version_of(row) if row else None

    def version(self, state: Inode) -> Inode | None:
        """Return a state that :meth:`inode` once returned as the index holds it now."""
        with self._lock:
            live = self._index.inode(state.ino)
            if live is not None and live.version == state.version:
                return live
            row = self._db.execute(_VERSION + " AND version = ?", (state.ino, state.version))
            found = row.fetchone()
        return rows.version_of(found) if found else None

    def extents(self, state: Inode, part: int) -> list[Extent]:
        """Return what part ``part`` of a state that :meth:`inode` returned consists of."""
        if part == 0:
            return state.extents
        with self._lock:
            row = self._db.execute(
                "SELECT extents FROM past_part WHERE ino = ? AND part = ? AND until >= ?"
                " ORDER BY until LIMIT 1",
                (state.ino, part, state.version),
            ).fetchone()
            if row is None:
                row = self._db.execute(
                    "SELECT extents FROM part WHERE ino = ? AND part = ? AND version <= ?",
                    (state.ino, part, state.version),
                ).fetchone()
        return rows.unpack_extents(row[0]) if row else []

    def count_files(self, directory: int) -> int:
        """Return the names of regular files in and below a directory of the live tree."""
        with self._lock:
            return self._index.count_files(directory)

    # Names

    def lookup(self, parent: int, name: bytes, day: int) -> Inode | None:
        """Return the state of what ``name`` in directory ``parent`` was at the end of ``day``."""
        with self._lock:
            row = self._db.execute(_LIVE_NAME, key(parent, name)).fetchone()
            if row is not None and self._is_live(parent, row, day):
                return self._state(row[5], states.inode_of(row[5:]), day)
            return self._before(parent, name, day)

    def _is_live(self, parent: int, row: rows.Row, day: int) -> bool:
        """Return whether a live name meant by ``day`` what it means now."""
        name, _, begin, made, last, ino, _, state = row[:8]
        if self._calendar.day_of(states.began(state, made) if made else begin or 0) > day:
            older = made == 1 and states.type_of(state) == stat.S_IFDIR
            if not older or self._since(ino) > day:
                return False
        if last is None or last < day:
            return True
        spans = self._spans(self._db.execute(_SINCE, (parent, name, day)))
        return not spans or spans[-1].recorded <= day

    def _before(self, parent: int, name: bytes, day: int) -> Inode | None:
        """Return the state of what a name was by ``day``, before it meant what it means now."""
        spans = self._spans(self._db.execute(_AROUND, (parent, name, day)))
        begun = [span for span in spans if span.begin <= day]
        ino = begun[-1].ino if begun else None
        return self.inode(ino, day) if ino is not None else None

    def _spans(self, bindings: Iterable[rows.Row]) -> list[_Span]:
        """Return what a name stood for before it meant what it does now, in order."""
        found: list[_Span] = []
        before = 0  # a name never begins before the one before it ended
        for day, ino, made in bindings:
            since = self._since(ino) if ino is not None and made else NO_DAY
            if made == 2 and since > day:
                continue
            begin = max(min(day, since), before) if ino is not None else day
            found.append(_Span(begin, ino, before := day))
            if made == 2:
                found.append(_Span(day + 1, None, before := day + 1))
        return found

    def _since(self, directory: int) -> int:
        """Return the day since which a directory is shown because of what is in it."""
        row = self._db.execute("SELECT day FROM since WHERE ino = ?", (directory,)).fetchone()
        since: int = row[0] if row else NO_DAY
        return since

    def names(self, parent: int, after: Place | None, limit: int, day: int) -> list[Listed]:
        """Return up to ``limit`` names of a directory at the end of ``day``, behind ``after``.

        First come names that still mean what they meant then, in the order of the live tree, so
        that what lies side by side in an archive is read side by side; then past ones by name,
        with 0 for their cookie.
        """
        with self._lock:
            live, past = self._standing(_TYPES, parent, after, limit, day)
        found = [_listed((row[1], row[0], row[5], states.type_of(row[7]), None)) for row in live]
        found += [Listed(0, name, state.ino, state.mode, None) for name, state in past]
        return found

    def entries(self, parent: int, after: Place | None, limit: int, day: int) -> list[Found]:
        """Return the same with the state of what each name stands for."""
        with self._lock:
            live, past = self._standing(_STATES, parent, after, limit, day)
            found = [
                Found(row[0], self._state(row[5], states.inode_of(row[5:]), day), Place(row[1]))
                for row in live
            ]
        return found + [Found(name, state, Place(0, name)) for name, state in past]

    def _standing(
        self, queries: tuple[str, str], parent: int, after: Place | None, limit: int, day: int
    ) -> tuple[list[rows.Row], list[tuple[bytes, Inode]]]:
        """Return the rows of live names, and past names with their states."""
        history = self._db.execute(_HISTORY, (parent,)).fetchone() is not None
        live: list[rows.Row] = []
        name = b""
        if after is None or after.name is None:
            cookie = after.cookie if after else 0
            live = self._live(queries[history], parent, cookie, limit, day)
        else:
            name = after.name
        if not history or len(live) == limit:
            return live, []
        return live, self._past(parent, name, limit - len(live), day)

    def _live(self, query: str, parent: int, cookie: int, limit: int, day: int) -> list[rows.Row]:
        """Return the rows of names that meant by ``day`` what they mean now."""
        found: list[rows.Row] = []
        while len(found) < limit:
            page = self._db.execute(query, (parent, cookie, limit)).fetchall()
            found += [row for row in page if self._is_live(parent, row, day)]
            if len(page) < limit:
                break
            cookie = page[-1][1]
        return found[:limit]

    def _past(self, parent: int, behind: bytes, limit: int, day: int) -> list[tuple[bytes, Inode]]:
        """Return names that meant something else by ``day``, or mean nothing now."""
        found: list[tuple[bytes, Inode]] = []
        while len(found) < limit:
            page = self._db.execute(_NAMES, (parent, behind, limit)).fetchall()
            for (name,) in page:
                row = self._db.execute(_LIVE_NAME, key(parent, name)).fetchone()
                if row is None or not self._is_live(parent, row, day):
                    state = self._before(parent, name, day)
                    if state is not None:
                        found.append((name, state))
            if len(page) < limit:
                break
            behind = page[-1][0]
        return found[:limit]


ROOT = LIVE_ROOT
"""Inode number of the root of every snapshot."""
