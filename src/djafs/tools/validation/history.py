"""The tables of which a difference may mean nothing: ``binding``, ``since`` and ``day``.

All others follow from the log alone. These depend a little on where the log was cut into batches,
because a batch looks at what its inodes are when it ends:

- ``since`` makes a directory old enough for its contents. A state that came and went within a
  batch leaves no mark, so that two indexes may both be right and differ. What must hold is that
  no name is shown in a directory that is not there yet.
- ``day`` lists days to look at; one more is harmless, one less is not if something began then.
- ``binding`` keeps the name of a directory that is gone only if ``since`` made it older.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from djafs.disk import states
from djafs.disk.index import Index
from djafs.model import Calendar
from djafs.tools.validation.paths import EVER, Paths, day_path, shown

Row = tuple[Any, ...]
Difference = tuple[str, list[str]]  # what it is, and the paths affected

_BINDINGS = "SELECT parent, name, day, ino, made FROM binding ORDER BY parent, name, day"
_SINCE = "SELECT ino, day FROM since ORDER BY ino"
_LIVE = f"SELECT {states.INODE} FROM inode i WHERE nlink != 0"


class History:
    """Yields the differences that matter between ``stored`` and ``made``."""

    def __init__(self, stored: Index, made: Index, calendar: Calendar) -> None:
        self._stored, self._made = stored, made
        self._calendar = calendar
        self._paths = Paths(made, calendar)

    def bindings(self) -> Iterator[Difference]:
        """Compare what names stood for in the past, name by name."""
        left = groupby(self._stored.connection.execute(_BINDINGS), lambda row: row[:2])
        right = groupby(self._made.connection.execute(_BINDINGS), lambda row: row[:2])
        end: tuple[Any, Any] = (None, ())
        one, other = _next(left, end), _next(right, end)
        while one is not end or other is not end:
            take_one = one is not end and (other is end or one[0] <= other[0])
            take_other = other is not end and (one is end or other[0] <= one[0])
            stored = one[1] if take_one else []
            made = other[1] if take_other else []
            if stored != made and not self._aged(stored, made):
                parent, name = (one if take_one else other)[0]
                yield self._binding(parent, name, stored, made)
            one = _next(left, end) if take_one else one
            other = _next(right, end) if take_other else other

    def _aged(self, stored: list[Row], made: list[Row]) -> bool:
        """Return whether a directory that ``since`` made older explains a difference."""
        query = "SELECT 1 FROM since WHERE ino = ? AND day <= ?"
        return any(
            row[4] and index.connection.execute(query, (row[3], row[2])).fetchone() is not None
            for row in set(stored) ^ set(made)
            for index in (self._stored, self._made)
        )

    def _binding(self, parent: int, name: bytes, stored: list[Row], made: list[Row]) -> Difference:
        days = sorted({row[2] for row in set(stored) ^ set(made)})
        paths = [self._paths.past_entry(parent, name, day) for day in days]
        return f"{parent} {shown(name)}", paths

    def since(self) -> Iterator[Difference]:
        """Find directories that the store's index does not show on days when it must."""
        stored = "SELECT day FROM since WHERE ino = ?"
        for ino, day in self._made.connection.execute(_SINCE):
            row = self._stored.connection.execute(stored, (ino,)).fetchone()
            since = row[0] if row else EVER
            if since > day and day <= (needed := self._needed(ino)) < min(since, self._begin(ino)):
                paths = [f"{day_path(needed)}/{name}" for name in self._live_names(ino)]
                yield f"{ino}: must be shown from {day_path(needed)} on", paths

    def _live_names(self, ino: int) -> Iterator[str]:
        for path in self._paths.live(ino):
            yield path.removeprefix("live/")

    def _begin(self, ino: int) -> int:
        """Return the first day on which a directory has a name by itself."""
        spans = Paths(self._stored, self._calendar).spans(ino)
        return min((span.begin for span in spans), default=EVER)

    def _needed(self, directory: int) -> int:
        """Return the first day on which something in a directory is shown."""
        db = self._stored.connection
        (first,) = db.execute(
            "SELECT min(day) FROM binding WHERE parent = ? AND ino IS NOT NULL AND made IS NOT 2",
            (directory,),
        ).fetchone()
        needed = EVER if first is None else int(first)
        # A directory that came from elsewhere was shown there before, however old it is.
        children = (
            "SELECT dentry.ino, begin, made, since.day FROM dentry"
            " LEFT JOIN since ON since.ino = dentry.ino AND made = 1 WHERE parent = ?"
        )
        for ino, begin, made, since in db.execute(children, (directory,)):
            child = self._stored.inode(ino)
            if child is not None:
                began = child.began(made) if made else begin or 0
                needed = min(needed, self._calendar.day_of(began), since or EVER)
        return needed

    def days(self) -> Iterator[Difference]:
        """Find days that saw a change and that the store's index does not list."""
        query = "SELECT day FROM day"
        stored = {day for (day,) in self._stored.connection.execute(query)}
        missing = {day for (day,) in self._made.connection.execute(query)} - stored
        for day in sorted(missing & self._changed()) if missing else ():
            yield f"{day}: it saw a change", [day_path(day)]

    def _changed(self) -> set[int]:
        """Return the days on which something began that the log's index still has."""
        db = self._made.connection
        found = {day for (day,) in db.execute("SELECT DISTINCT day FROM binding")}
        found.update(day for (day,) in db.execute("SELECT DISTINCT day FROM version"))
        for row in db.execute(_LIVE):
            found.add(self._calendar.day_of(states.inode_of(row).effective()))
        return found


def _next(groups: Iterator[tuple[Any, Iterator[Row]]], end: tuple[Any, Any]) -> tuple[Any, Any]:
    for key, group in groups:
        return key, list(group)
    return end
