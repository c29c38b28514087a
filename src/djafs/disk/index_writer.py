"""Applies batches to the index: one short transaction each, with the position it stands for."""

from __future__ import annotations

import contextlib

from djafs.disk import rows, sqlite, states
from djafs.disk.batch import Batch
from djafs.disk.content_writer import update_contents
from djafs.disk.history_writer import HistoryWriter
from djafs.disk.index import Index
from djafs.disk.inode_writer import put_inodes
from djafs.disk.names import put_names
from djafs.model import Calendar

GIVEN_BACK = 1024
"""Pages by which the index becomes shorter, at most, when it is closed: 8 MiB, so that it is
soon done."""

_PART = "INSERT OR REPLACE INTO part (ino, part, version, extents, hot) VALUES (?, ?, ?, ?, ?)"


class IndexWriter:
    """The one writer of an index. Not thread-safe: one thread applies batches."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        self._db = index.connection
        self._history = HistoryWriter(index.connection, calendar)
        self._next_ino = index.state().get("ino", 0)  # from here on the index has none

    def apply(self, batch: Batch) -> None:
        """Apply ``batch`` whole or not at all (raises sqlite.Error)."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._apply_live(batch)
            self._note_vacated(batch)  # before events: a Sweep asks for them
            for event in batch.events:
                self._history.apply(event)
            self._apply_contents(batch)
            self._history.note_days(batch)
            self._note_state(batch)
            self._db.execute("COMMIT")
            self._next_ino = batch.next_ino
        except BaseException:
            if self._db.in_transaction:  # SQLite itself gives up when the disk is full
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._history.forget()

    def finish(self) -> None:
        """Say in the index that it was closed, and needs no write-ahead log to be whole."""
        self._give_back()
        self._db.execute("UPDATE state SET value = 0 WHERE key = 'open'")

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the index file, as far as readers allow."""
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _give_back(self) -> None:
        """Make the index shorter by pages that became free, such as those of what was hot."""
        if not self._db.execute("PRAGMA freelist_count").fetchone()[0]:
            return
        with contextlib.suppress(sqlite.FullError):
            self._db.execute(f"PRAGMA incremental_vacuum({GIVEN_BACK})").fetchall()
        # The pages that moved are in the file before that is said to be whole.
        self.checkpoint()

    def _apply_live(self, batch: Batch) -> None:
        run = self._db.executemany
        self._apply_inodes(batch)
        if batch.removed:
            run("DELETE FROM dentry WHERE parent = ? AND cookie = ?", batch.removed)
        put_names(self._db, batch.names, batch.inodes)
        if batch.parts:
            lost = [key for key, part in batch.parts.items() if part is None]
            run("DELETE FROM part WHERE ino = ? AND part = ?", lost)
            run(
                _PART,
                [
                    # One that became empty is kept: since which version it is matters.
                    (*key, p.version, rows.pack_part(p.extents), rows.hot_of(p.extents))
                    for key, p in batch.parts.items()
                    if p is not None and batch.inodes.get(key[0], p) is not None
                ],
            )

    def _apply_inodes(self, batch: Batch) -> None:
        run = self._db.executemany
        gone = [(ino,) for ino, inode in batch.inodes.items() if inode is None]
        if gone:
            for table in ("inode", "part", "hot", "directory"):
                run(f"DELETE FROM {table} WHERE ino = ?", gone)
        changed = [inode for inode in batch.inodes.values() if inode]
        # What is new has no row that could be left.
        cold = [
            (i.ino,) for i in changed if i.ino < self._next_ino and not states.is_hot(i.extents)
        ]
        run("DELETE FROM hot WHERE ino = ?", cold)
        put_inodes(self._db, changed)

    def _apply_contents(self, batch: Batch) -> None:
        run = self._db.executemany
        update_contents(self._db, batch.contents)
        run(
            "DELETE FROM archive WHERE archive = ?",
            [(number,) for number, row in batch.archives.items() if row is None],
        )
        run(
            "INSERT OR REPLACE INTO archive VALUES (?, ?, ?)",
            [(number, *row) for number, row in batch.archives.items() if row],
        )

    def _note_state(self, batch: Batch) -> None:
        segment, offset, seq, chain = batch.position
        state = {
            "segment": segment,
            "offset": offset,
            "seq": seq,
            "chain": chain,
            "ino": batch.next_ino,
            "content": batch.next_content,
            "archive": batch.next_archive,
            "hot": batch.last_segment,
            "open": 1,
        }
        self._db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())

    def _note_vacated(self, batch: Batch) -> None:
        if batch.vacated is not None:
            self._db.execute("DELETE FROM vacated")
            self._db.executemany(
                "INSERT INTO vacated (parent, name, ino, begin, t) VALUES (?, ?, ?, ?, ?)",
                [(*key, *lost) for key, lost in batch.vacated.items()],
            )
