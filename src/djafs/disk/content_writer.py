"""Changing the contents that the index has: the rows that they share, and what finds these."""

from __future__ import annotations

from collections.abc import Mapping

from djafs.disk import contents, sqlite
from djafs.disk.batch import ContentRow

Held = dict[int, ContentRow]


def update_contents(db: sqlite.Connection, changes: Mapping[int, ContentRow | None]) -> None:
    """Put contents where they are now; None takes one away."""
    changed: dict[int, Held] = {}
    before: dict[int, Held] = {}
    for cid, content in changes.items():
        row = contents.row_of(cid)
        if row not in changed:
            before[row] = contents_in(db, row)
            changed[row] = before[row].copy()
        if content is None:
            changed[row].pop(cid, None)
        else:
            changed[row][cid] = content
    run = db.executemany
    run("DELETE FROM content WHERE row = ?", [(row,) for row, held in changed.items() if not held])
    run(
        "INSERT OR REPLACE INTO content VALUES (?, ?)",
        [(row, contents.pack(row, held)) for row, held in changed.items() if held],
    )
    for table, key, keys_of in (
        ("digest", "prefix", lambda held: {contents.prefix_of(c.digest) for c in held.values()}),
        ("held", "archive", lambda held: {c.archive for c in held.values()}),
    ):
        there = {(key, row) for row, held in before.items() for key in keys_of(held)}
        needed = {(key, row) for row, held in changed.items() for key in keys_of(held)}
        run(f"DELETE FROM {table} WHERE {key} = ? AND row = ?", sorted(there - needed))
        run(f"INSERT INTO {table} VALUES (?, ?)", sorted(needed - there))


def contents_in(db: sqlite.Connection, row: int) -> Held:
    """Return the contents of a row that the index has, by their numbers."""
    found = db.execute("SELECT held FROM content WHERE row = ?", (row,)).fetchone()
    return contents.unpack(row, found[0]) if found else {}
