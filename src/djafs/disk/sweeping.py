"""Removing from the index what no snapshot shows any more (docs/architecture.md, "Compaction").

Which rows go follows from the rows alone, and from the time in the record that asked for it, so
that an index made again from the log has lost the same ones. What goes:

- A past binding that the live binding of the same name masks, having begun on the same day.
- A version that the live version of the same inode masks, having begun on the same day.
- All versions and past parts of an inode that has no name, neither now nor in history, nor
  had one a moment ago that may yet turn out to have been replaced.
- A past part that no version needs.

Directories keep what they have: how old they are shown depends on more than their own rows, and
they hold no content.
"""

from __future__ import annotations

import stat

from djafs.disk import sqlite, states
from djafs.disk.batch import Swept
from djafs.disk.names import by_name, key
from djafs.model import SPAN, Calendar, Inode

_BINDINGS = (
    "SELECT b.parent, b.name, b.day, b.ino FROM binding b WHERE b.ino BETWEEN ? AND ?"
    " AND NOT EXISTS (SELECT 1 FROM binding l WHERE l.parent = b.parent AND l.name = b.name"
    " AND l.day > b.day)"
)
_LIVE_NAME = by_name(f"d.begin, d.made, {states.INODE}", "CROSS JOIN inode i ON i.ino = d.ino")
_VERSIONS = (
    f"SELECT v.day, {states.INODE} FROM version v CROSS JOIN inode i ON i.ino = v.ino"
    " WHERE v.ino BETWEEN ? AND ? AND i.nlink != 0"
)
_NAMELESS = (
    "SELECT DISTINCT v.ino FROM version v WHERE v.ino BETWEEN ? AND ?"
    f" AND v.mode & {0o170000} != {stat.S_IFDIR}"
    " AND NOT EXISTS (SELECT 1 FROM inode i WHERE i.ino = v.ino AND i.nlink != 0)"
    " AND NOT EXISTS (SELECT 1 FROM binding b WHERE b.ino = v.ino)"
    " AND v.ino NOT IN (SELECT ino FROM vacated)"
)
_DIRECTORY = (
    f"SELECT 1 FROM version WHERE ino = ? AND mode & {0o170000} = {stat.S_IFDIR}"
    " UNION ALL SELECT 1 FROM directory WHERE ino = ?"
)
_PARTS = (
    "DELETE FROM past_part WHERE ino BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM version v"
    " WHERE v.ino = past_part.ino AND v.version <= past_part.until AND v.version >"
    " (SELECT coalesce(max(q.until), 0) FROM past_part q WHERE q.ino = past_part.ino"
    " AND q.part = past_part.part AND q.until < past_part.until))"
)


def sweep(db: sqlite.Connection, calendar: Calendar, swept: Swept) -> None:
    """Remove what is out of reach among the rows of inodes ``first`` to ``last``."""
    span = (swept.first, swept.last)
    for parent, name, day, ino in db.execute(_BINDINGS, span).fetchall():
        found = db.execute(_LIVE_NAME, key(parent, name)).fetchone()
        if found is None:
            continue
        begin, made, *row = found
        live = states.inode_of(tuple(row))
        if _is_settled(live, swept.t) and not _is_directory(db, ino):
            began = live.began(made) if made else begin or 0
            if calendar.day_of(began) == day:
                db.execute(
                    "DELETE FROM binding WHERE parent = ? AND name = ? AND day = ?",
                    (parent, name, day),
                )
    for day, *row in db.execute(_VERSIONS, span).fetchall():
        live = states.inode_of(tuple(row))
        if _is_settled(live, swept.t) and calendar.day_of(live.effective()) <= day:
            db.execute("DELETE FROM version WHERE ino = ? AND day = ?", (live.ino, day))
    nameless = db.execute(_NAMELESS, span).fetchall()
    db.executemany("DELETE FROM version WHERE ino = ?", nameless)
    db.executemany("DELETE FROM past_part WHERE ino = ?", nameless)
    db.execute(_PARTS, span)


def _is_settled(live: Inode, t: int) -> bool:
    """Return whether the beginning of the live version is decided: it is closed, or will be."""
    return t - live.last > SPAN and not live.is_directory


def _is_directory(db: sqlite.Connection, ino: int) -> bool:
    return db.execute(_DIRECTORY, (ino, ino)).fetchone() is not None
