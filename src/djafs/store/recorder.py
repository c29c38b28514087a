"""How a change is made: it is logged, then applied."""

from __future__ import annotations

from collections.abc import Sequence

from djafs.disk import records
from djafs.disk.lookup_log import LookupLog
from djafs.store.changes import Changes
from djafs.store.space import FULL, RECORD, Space
from djafs.store.syncer import Syncer
from djafs.store.tree import Tree

_GROWING = (records.Create, records.File, records.Write, records.Clone, records.Setxattr)
"""Changes that a full disk refuses; the others make room, or are needed for that."""


class Recorder:
    """Logs changes and applies them to a tree, under the store's guard.

    On a full disk what makes room is logged with the space kept in reserve.
    """

    def __init__(self, log: LookupLog, tree: Tree, space: Space, syncer: Syncer) -> None:
        self._log = log
        self._space = space
        self._syncer = syncer
        self._changes = Changes(tree)

    def record(self, record: records.Record) -> None:
        """Log a change and apply it; its ``seq`` is filled in here.

        Raises OSError if it cannot be logged.
        """
        if self._syncer.hindered:
            self._syncer.admit()
        record.seq = self._log.seq + 1
        try:
            self._log.append(record)
        except OSError as error:
            if error.errno not in FULL or isinstance(record, _GROWING):
                raise
            if not self._space.release(error.errno):
                raise
            record.seq = self._log.seq + 1
            self._log.append(record)
        try:
            self._changes.apply(record)
        except Exception as error:
            # Never to be met: what is logged was allowed. But a log with a record that does not
            # fit could not be replayed.
            self._syncer.fail(f"{type(record).__name__} does not fit", error)
            self._log.retract()
            raise
        self._syncer.note_change()

    def record_all(self, run: Sequence[records.Record]) -> None:
        """Log and apply many changes, of which a crash may keep the first ones only."""
        done = 0
        while done < len(run):
            if self._syncer.hindered:
                self._syncer.admit()
            some = self._append_some(run[done:])
            for record in run[done : done + some]:
                self._changes.apply(record)
            done += some
            self._syncer.note_change()

    def _append_some(self, run: Sequence[records.Record]) -> int:
        growing = any(isinstance(record, _GROWING) for record in run)
        if growing:
            self._space.take(RECORD * min(len(run), 1024))
        try:
            return self._log.append_some(run)
        except OSError as error:
            if growing or error.errno not in FULL or not self._space.release(error.errno):
                raise
            return self._log.append_some(run)
