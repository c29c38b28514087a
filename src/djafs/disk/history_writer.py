"""Writing what is past to the index: versions and bindings that ended, and the days they made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from djafs.disk import rows, sqlite
from djafs.disk.batch import (
    Batch,
    BindingEnded,
    BindingReplaced,
    Event,
    InodeGone,
    NameBeforeDirectory,
    Packed,
    PartClosed,
    Swept,
    VersionClosed,
)
from djafs.disk.relocation import relocate
from djafs.disk.sweeping import sweep
from djafs.model import LIVE_ROOT, Calendar, Inode


def _insert(table: str, columns: str) -> str:
    marks = ", ".join("?" * (columns.count(",") + 1))
    return f"INSERT OR REPLACE INTO {table} ({columns}) VALUES ({marks})"


_VERSION = _insert("version", rows.VERSION)
_PAST_PART = _insert("past_part", "ino, part, until, extents, hot")
_BINDING = _insert("binding", "parent, name, day, ino, made")
_PARENTS = (
    "SELECT parent FROM dentry WHERE ino = ? AND made = ?"
    " UNION SELECT parent FROM binding WHERE ino = ?"
)
_FIRST_PARENTS = (
    "SELECT parent FROM dentry WHERE ino = ? AND made = 1"
    " UNION SELECT parent FROM binding WHERE ino = ? AND made IS NOT NULL"
)
_KEEP_FIRST = (
    "INSERT OR IGNORE INTO binding (parent, name, day, ino, made) SELECT parent, name, day - 1,"
    " ino, 2 FROM binding WHERE parent = ? AND name = ? AND day = ? AND made = 1"
)
_LAST_BINDINGS = (
    "SELECT day, ino, made FROM binding WHERE parent = ? AND name = ? ORDER BY day DESC LIMIT 3"
)
_REMOVE_BINDING = "DELETE FROM binding WHERE parent = ? AND name = ? AND day = ?"
_CLOSE_GAP = (
    "DELETE FROM binding WHERE parent = ? AND name = ? AND day >= ? AND ino IS NULL AND made = 3"
)
_END_GAP = (
    "UPDATE binding SET made = NULL"
    " WHERE parent = ? AND name = ? AND day = ? AND ino IS NULL AND made = 3"
)
_EVER = 1 << 30  # later than any day
_SWEPT = (
    "INSERT INTO state VALUES ('swept', ?), ('closed', ?)"
    " ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"
)


class HistoryWriter:
    """What :class:`djafs.disk.index_writer.IndexWriter` knows of the past, in its transactions."""

    def __init__(self, db: sqlite.Connection, calendar: Calendar) -> None:
        self._db = db
        self._calendar = calendar
        self._apply_event: dict[type[Event], Callable[[Any], None]] = {
            VersionClosed: self._close_version,
            PartClosed: self._close_part,
            BindingEnded: self._end_binding,
            BindingReplaced: self._replace_binding,
            NameBeforeDirectory: self._make_directory_older,
            InodeGone: self._let_go,
            Packed: self._repack,
            Swept: self._sweep,
        }
        self._since: dict[int, int] = {}
        self._dated: list[Inode] = []  # states that began before they were recorded
        self._bound: dict[int, tuple[int, int]] = {}  # of names given in the batch: parent, made

    def apply(self, event: Event) -> None:
        """Apply an event of a batch."""
        self._apply_event[type(event)](event)

    def forget(self) -> None:
        """Forget what was remembered of a transaction, which has ended."""
        self._since.clear()
        self._dated.clear()

    def _close_version(self, event: VersionClosed) -> None:
        day = self._calendar.day_of(event.begin)
        self._db.execute(_VERSION, rows.version_row(event.state, day, event.begin))
        self._note_day(day)
        if event.begin < event.state.last or event.state.is_directory:
            self._dated.append(event.state)

    def _close_part(self, event: PartClosed) -> None:
        packed = rows.pack_part(event.extents)
        hot = rows.hot_of(event.extents)
        self._db.execute(_PAST_PART, (event.ino, event.part, event.until, packed, hot))

    def _let_go(self, event: InodeGone) -> None:
        if not event.seen:
            for table in ("version", "past_part", "since"):
                self._db.execute(f"DELETE FROM {table} WHERE ino = ?", (event.ino,))

    def _make_directory_older(self, event: NameBeforeDirectory) -> None:
        self._make_older([event.directory], self._calendar.day_of(event.t))

    def _replace_binding(self, event: BindingReplaced) -> None:
        if event.gap is not None:
            # What ended with the gap goes on until this binding begins.
            day = self._calendar.day_of(event.gap)
            self._db.execute(_CLOSE_GAP, (event.parent, event.name, day))
        day = self._begin_day(event.parent, event.name, event.begin)
        self._bind(event.parent, event.name, day, event.ino, int(event.first))

    def _sweep(self, event: Swept) -> None:
        sweep(self._db, self._calendar, event)
        self._db.execute(_SWEPT, (event.seq, event.t))

    def _bind(self, parent: int, name: bytes, day: int, ino: int | None, made: int = 0) -> None:
        # Another row of that day is masked, but a directory may be older than the day.
        self._db.execute(_KEEP_FIRST, (parent, name, day))
        if made == 1 and self._last_binding(parent, name)[0] == day:
            made = 0  # nothing makes it older than the end of what had the name before
        self._db.execute(_BINDING, (parent, name, day, ino, made or None))

    def _bind_nothing(self, parent: int, name: bytes, day: int, made: int) -> None:
        """End what a name stood for, which may have been for no day's end at all."""
        self._db.execute(_KEEP_FIRST, (parent, name, day))
        self._db.execute(_REMOVE_BINDING, (parent, name, day))
        if self._last_binding(parent, name)[1] is not None:
            self._bind(parent, name, day, None, made)

    def _last_binding(self, parent: int, name: bytes) -> tuple[int, int | None]:
        """Return the day on which a name was last bound, and to what; (0, None) for never."""
        for day, ino, made in self._db.execute(_LAST_BINDINGS, (parent, name)).fetchall():
            if made != 2:
                return day, ino
            self._note_dated()
            if self._since_of(ino) <= day:
                return day + 1, None
        return 0, None

    def _begin_day(self, parent: int, name: bytes, begin: int) -> int:
        # A binding never begins before the previous binding of that name ended.
        return max(self._calendar.day_of(begin), self._last_binding(parent, name)[0])

    def _end_binding(self, event: BindingEnded) -> None:
        parent, name, ino = event.parent, event.name, event.ino
        last_day, last_ino = self._last_binding(parent, name)
        begin = max(self._calendar.day_of(event.begin), last_day) if event.trace else last_day
        end = max(self._calendar.day_of(event.t), begin)
        if event.trace and begin < end:
            self._bind(parent, name, begin, ino, int(event.first))
            self._bind(parent, name, end, None)
        elif event.trace and event.first and last_day < end - 1:
            # No day's end saw it, but what is in the directory may make it older.
            self._bind(parent, name, end - 1, ino, 2)
            if last_ino is not None:
                self._bind(parent, name, end, None)
        elif last_ino is not None:
            self._bind_nothing(parent, name, end, 0 if event.trace else 3)
        else:
            self._db.execute(_END_GAP, (parent, name, end))
        self._note_day(end)

    def _repack(self, event: Packed) -> None:
        """Replace packed hot extents in every version of the inode that is history."""
        part_zero = "SELECT extents, day FROM version WHERE ino = ? AND hot IS NOT NULL"
        later = "SELECT extents, until FROM past_part WHERE ino = ? AND part = ? AND hot NOT NULL"
        if event.part == 0:
            found = self._db.execute(part_zero, (event.ino,)).fetchall()
            update = "UPDATE version SET extents = ?, hot = ? WHERE ino = ? AND day = ?"
            keys: list[rows.Row] = [(event.ino, day) for _, day in found]
        else:
            found = self._db.execute(later, (event.ino, event.part)).fetchall()
            update = (
                "UPDATE past_part SET extents = ?, hot = ? WHERE ino = ? AND part = ? AND until = ?"
            )
            keys = [(event.ino, event.part, until) for _, until in found]
        for (stored, _), key in zip(found, keys, strict=True):
            extents = relocate(rows.unpack_extents(stored), event.moved, event.cid, event.cut)
            self._db.execute(update, (rows.pack_extents(extents), rows.hot_of(extents), *key))

    # Days

    def _note_day(self, day: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO day VALUES (?)", (day,))

    def note_days(self, batch: Batch) -> None:
        """Note the days of changed inodes, and directories that their contents make older."""
        self._bound = {
            dentry.ino: (parent, dentry.made)
            for parent, names in batch.names.items()
            for dentry in names.values()
            if dentry
        }
        days = set()
        oldest: dict[int, int] = {}  # directories of files with a day before they were recorded
        recorded, today = 0, self._calendar.day_of(0)
        for state in batch.inodes.values():
            if state is None:
                continue
            begin = state.effective()
            day = self._calendar.day_of(begin)
            days.add(day)
            if state.is_directory:
                self._dated.append(state)
            elif begin < state.last:
                if state.last != recorded:  # many have the same
                    recorded, today = state.last, self._calendar.day_of(state.last)
                if day < today:
                    for parent in self._parents(state):
                        oldest[parent] = min(day, oldest.get(parent, day))
        for day in days:
            self._note_day(day)
        for parent, day in oldest.items():
            self._make_older([parent], day)
        self._note_dated()
        self._bound = {}

    def _note_dated(self) -> None:
        """Have directories begin with states that began before they were recorded."""
        for state in self._dated:
            if state.is_directory:
                self._note_directory(state)
            else:
                day = self._calendar.day_of(state.effective())
                if day < self._calendar.day_of(state.last):
                    self._make_older(self._parents(state), day)
        self._dated.clear()

    def _parents(self, state: Inode) -> list[int]:
        """Return the directories of the names that a version of a file began with."""
        parent, made = self._bound.get(state.ino, (0, 0))
        if state.nlink == 1 and made == state.version and not state.seen:
            return [parent]  # its only name, now and in history, was just given
        return self._names(_PARENTS, state.ino, state.version, state.ino)

    def _note_directory(self, state: Inode) -> None:
        day = self._calendar.day_of(state.effective())
        if 0 < state.mtime < state.last:
            day = min(day, self._calendar.day_of(state.mtime))
            self._note_day(day)
        if day < self._calendar.day_of(max(state.last, state.began(1))):
            self._make_older([state.ino], day)
        # It may have been given to a directory that knows nothing of it.
        since = self._since_of(state.ino)
        if since < _EVER:
            self._make_older(self._names(_FIRST_PARENTS, state.ino, state.ino), since)

    def _make_older(self, directories: list[int], day: int) -> None:
        """Have directories, and those that they were made in, begin on ``day`` at the latest."""
        waiting = directories.copy()
        while waiting:
            directory = waiting.pop()
            if directory > LIVE_ROOT and self._since_of(directory) > day:
                self._since[directory] = day
                self._db.execute("INSERT OR REPLACE INTO since VALUES (?, ?)", (directory, day))
                waiting += self._names(_FIRST_PARENTS, directory, directory)

    def _since_of(self, directory: int) -> int:
        known = self._since.get(directory)
        if known is None:
            query = "SELECT day FROM since WHERE ino = ?"
            row = self._db.execute(query, (directory,)).fetchone()
            known = self._since[directory] = row[0] if row else _EVER
        return known

    def _names(self, query: str, *arguments: int) -> list[int]:
        return [parent for (parent,) in self._db.execute(query, arguments)]
