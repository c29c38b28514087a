"""What happens behind the answering thread: syncing, and bringing the index up to date.

Order (docs/ordering.md): content and log are synced, then the log says so, then the index has it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable

from djafs.disk import sqlite
from djafs.disk.batch import Batch
from djafs.disk.host import Host
from djafs.disk.hot_log import HotLog
from djafs.disk.index_writer import IndexWriter
from djafs.disk.lookup_line import Position
from djafs.disk.lookup_log import LookupLog
from djafs.disk.records import Sync
from djafs.errors import ReadOnlyStoreError
from djafs.store.tree import Tree

BATCH = 4096
"""Changes after which a batch is written without waiting for the second to pass."""

BACKLOG = 4 * BATCH
"""Changes that may wait in memory; then the answering thread waits for the index."""

PATIENCE = 30.0
"""Seconds that a change waits for the index; then it is refused."""

_log = logging.getLogger("djafs.store")


class Syncer:
    """Group commit for content, log and index.

    ``guard`` is the lock under which the tree and both logs change.
    """

    def __init__(
        self,
        host: Host,
        guard: threading.Lock,
        hot: HotLog,
        log: LookupLog,
        tree: Tree,
        writer: IndexWriter,
        clock: Callable[[], int],
        relieve: Callable[[], bool] = lambda: False,
    ) -> None:
        """``relieve`` is called when the disk is full, and says whether to try again."""
        self._host, self._guard = host, guard
        self._frozen = threading.Condition(guard)
        self._hot, self._log, self._tree, self._writer = hot, log, tree, writer
        self._clock = clock
        self._relieve = relieve
        self._turn = threading.Condition()
        self._syncing = False
        self._flushing = threading.Lock()
        self.changed = log.seq
        self.durable = log.seq
        self._marked = -1  # the last change that a mark calls durable
        self._mark = 0  # the last mark itself
        self._indexed = log.seq  # the last change that the index has
        self.applied = log.position
        """The place in the log up to which the index is, durably."""
        self._crowded = False
        self._stuck: Exception | None = None  # why the index could not be written
        self.failure: Exception | None = None
        self.refused: str | None = None  # why no more changes are taken
        self.hindered = False
        """Whether :meth:`admit` has to be asked before a change."""
        self.wake = threading.Event()

    def note_change(self) -> None:
        """Say that a record was logged and applied (under the guard)."""
        self.changed = self._log.seq
        batch = self._tree.batch
        if len(batch.inodes) >= BATCH or len(batch.events) >= BATCH or len(batch.parts) >= BATCH:
            self.wake.set()
            if len(batch) >= BACKLOG and not batch.sealed:
                self._crowded = self.hindered = True

    def admit(self) -> None:
        """Return when a change may be logged (under the guard, which is let go meanwhile).

        Raises OSError: EROFS when a sync has failed, ENOSPC or EIO when the index cannot be
        written and memory holds as much as it should.
        """
        while self.failure is None and self._crowded:
            if self._stuck is not None:
                number = errno.ENOSPC if sqlite.is_full(self._stuck) else errno.EIO
                raise OSError(number, f"the index cannot be written: {self._stuck}")
            if not self._frozen.wait(PATIENCE):
                raise OSError(errno.EIO, "the index does not keep up")
        if self.failure is not None or self.refused is not None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def refuse_changes(self, why: str) -> bool:
        """Take no more changes, but sync what was taken; return whether that is new.

        ``why`` also says what ends it.
        """
        if self.refused is not None:
            return False
        self.refused, self.hindered = why, True
        _log.critical("%s", why)
        return True

    def allow_changes(self) -> None:
        """Take changes again: why they were refused is no longer so (under the guard)."""
        self.refused = None
        self.hindered = self._crowded or self.failure is not None

    def fail(self, what: str, error: Exception) -> None:
        """Take no more changes: it is unknown what the disk holds, or the tree."""
        if self.failure is None:
            self.failure = error
            self.hindered = True
            _log.critical("%s (%s): the store is read-only until it is mounted again", what, error)

    def make_durable(self, seq: int) -> None:
        """Return when everything up to record ``seq`` would survive a power cut.

        Callers that come while a sync is under way share the next one. Raises
        ReadOnlyStoreError when a sync has failed: what the disk holds is then unknown.
        """
        if self.durable >= seq and self.failure is None:
            return
        with self._turn:
            while self._syncing and self.durable < seq and not self.failure:
                self._turn.wait()
            self._check()
            if self.durable >= seq:
                return
            self._syncing = True
        try:
            with self._guard:
                upto, changed = self._log.seq, self.changed
            try:
                # So that both may be in one commit of the disk's filesystem: docs/ordering.md.
                self._log.write_out()
                self._hot.write_out()
                self._host.both(self._hot.sync, self._log.sync)
            except Exception as error:
                self.fail("a sync failed", error)
                self._check()
            with self._guard:
                if changed > self._marked and self._append_mark(upto):
                    self._marked, self._mark = changed, self._log.seq
            self.durable = upto
        finally:
            with self._turn:
                self._syncing = False
                self._turn.notify_all()

    def _append_mark(self, upto: int) -> bool:
        """Log that all up to ``upto`` is durable. If that fails, it is durable nevertheless."""
        try:
            self._log.append(Sync(self._log.seq + 1, self._clock(), upto))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._relieve():
                return False
            return self._append_mark(upto)
        return True

    def confirm(self) -> bool:
        """Make durable the mark that calls durable all that the index has.

        Returns whether there is one; only then may hot content go that the index does not need:
        recovery looks there for the content of every write that no mark covers.
        """
        with self._guard:
            mark, covered = self._mark, self._marked >= self._indexed
        if covered:
            self.make_durable(mark)
        return covered

    def flush(self, last: Callable[[], None] | None = None) -> None:
        """Return when everything that was acknowledged is durable and in the index.

        ``last`` logs a change that must be the last of its batch. Raises ReadOnlyStoreError, or
        sqlite.Error when the index cannot be written; what was to be written stays in memory
        then, and the next call tries again.
        """
        with self._flushing:
            if self._tree.frozen is not None:  # it failed before, and more came since
                self._flush()
            self._flush(last)

    def _flush(self, last: Callable[[], None] | None = None) -> None:
        with self._guard:
            batch: Batch | None = self._tree.frozen
            if batch is None:
                if last is not None:
                    last()
                segment = self._tree.batch.position.segment
                # The index follows into every segment, so that the ones before can be closed.
                if len(self._tree.batch) or self._log.position.segment > segment:
                    batch = self._tree.freeze(self._log.position)
                    self._crowded = False
                    self.hindered = self.failure is not None or self.refused is not None
                    self._frozen.notify_all()
            changed = self.changed
        self.make_durable(changed if batch is None else batch.position.seq)
        if batch is None:
            return
        try:
            self._apply(batch)
        except Exception as error:
            with self._guard:
                self._stuck = error
                self._frozen.notify_all()
            raise
        with self._guard:
            self._stuck = None
            self._indexed = changed
            self.applied = batch.position
            self._tree.thaw()
        self._writer.checkpoint()

    def _apply(self, batch: Batch) -> None:
        try:
            self._writer.apply(batch)
        except sqlite.FullError:
            if not self._relieve():
                raise
            self._writer.apply(batch)

    def replace_index(
        self, prepare: Callable[[Position], None], take: Callable[[Position], IndexWriter]
    ) -> None:
        """Go on with an index that was made from the log.

        ``prepare`` brings it up to a place in the log that is durable; ``take`` turns to it under
        the guard, with all that was logged since in the batch. Raises ReadOnlyStoreError, and
        what these two raise.
        """
        with self._flushing:
            with self._guard:
                upto, changed = self._log.position, self.changed
            self.make_durable(upto.seq)
            prepare(upto)
            with self._guard:
                self._writer = take(upto)
                self._stuck = None
                self._indexed, self.applied = changed, upto
                self._crowded = False
                self.hindered = self.failure is not None or self.refused is not None
                self._frozen.notify_all()

    def catch_up(self) -> None:
        """Bring the index up to date for a reader, as far as it can still be written."""
        with contextlib.suppress(ReadOnlyStoreError, sqlite.Error):
            self.flush()

    def sync_for(self, seq: int) -> None:
        """Do for fsync(2) what :meth:`make_durable` does (raises OSError, EIO)."""
        try:
            self.make_durable(seq)
        except ReadOnlyStoreError as error:
            raise OSError(errno.EIO, str(error)) from None

    def behind(self) -> bool:
        """Return whether there is anything that :meth:`flush` would do."""
        tree = self._tree
        # A batch that is just being written is not in the index yet.
        return self.changed > self.durable or len(tree.batch) > 0 or tree.frozen is not None

    def _check(self) -> None:
        if self.failure:
            raise ReadOnlyStoreError(f"the store is read-only after a failure: {self.failure}")
