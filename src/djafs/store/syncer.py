"""What happens behind the answering thread: syncing, and bringing the index up to date.

Order (docs/ordering.md): content is synced before the log, the log before the index has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from djafs.disk.batch import Batch
from djafs.disk.hot_log import HotLog
from djafs.disk.index_writer import IndexWriter
from djafs.disk.lookup_log import LookupLog
from djafs.disk.records import Sync
from djafs.errors import ReadOnlyStoreError
from djafs.store.tree import Tree

BATCH = 8192
"""Changes after which a batch is written without waiting for the second to pass."""

BACKLOG = 4 * BATCH
"""Changes that may wait in memory; then the answering thread waits for the index."""


class Syncer:
    """Group commit for content, log and index.

    ``guard`` is the lock under which the tree and both logs change.
    """

    def __init__(
        self,
        guard: threading.Lock,
        hot: HotLog,
        log: LookupLog,
        tree: Tree,
        writer: IndexWriter,
        clock: Callable[[], int],
    ) -> None:
        self._guard = guard
        self._frozen = threading.Condition(guard)
        self._hot, self._log, self._tree, self._writer = hot, log, tree, writer
        self._clock = clock
        self._turn = threading.Condition()
        self._syncing = False
        self._flushing = threading.Lock()
        self.changed = log.seq
        self.durable = log.seq
        self.failure: OSError | None = None
        self.wake = threading.Event()

    def note_change(self) -> None:
        """Say that a record was logged and applied (under the guard)."""
        self.changed = self._log.seq
        batch = self._tree.batch
        if len(batch.inodes) >= BATCH or len(batch.events) >= BATCH:
            self.wake.set()
            if len(batch) >= BACKLOG and not batch.sealed:
                self._frozen.wait_for(
                    lambda: len(self._tree.batch) < BACKLOG or self.failure is not None, 30
                )

    def make_durable(self, seq: int) -> None:
        """Return when everything up to record ``seq`` would survive a power cut.

        Callers that come while a sync is under way share the next one. Raises
        ReadOnlyStoreError when a sync has failed: what the disk holds is then unknown.
        """
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
                self._hot.sync()
                self._log.sync()
            except OSError as error:
                self.failure = error
                raise ReadOnlyStoreError(
                    f"a sync failed ({error}): the store is read-only now"
                ) from error
            with self._guard:
                if changed > self.durable:
                    self._log.append(Sync(self._log.seq + 1, self._clock(), upto))
            self.durable = upto
        finally:
            with self._turn:
                self._syncing = False
                self._turn.notify_all()

    def flush(self, last: Callable[[], None] | None = None) -> None:
        """Return when everything that was acknowledged is durable and in the index.

        ``last`` logs a change that must be the last of its batch. Raises ReadOnlyStoreError, or
        sqlite3.Error when the index cannot be written; what was to be written stays in memory
        then, and the next call tries again.
        """
        with self._flushing:
            if last is not None and self._tree.frozen is not None:  # it failed before
                self._flush()
            self._flush(last)

    def _flush(self, last: Callable[[], None] | None = None) -> None:
        with self._guard:
            batch: Batch | None = self._tree.frozen
            if batch is None:
                if last is not None:
                    last()
                if len(self._tree.batch):
                    batch = self._tree.freeze(self._log.position)
                    self._frozen.notify_all()
            changed = self.changed
        self.make_durable(batch.position.seq if batch else changed)
        if batch is None:
            return
        self._writer.apply(batch)
        with self._guard:
            self._tree.thaw()
        self._writer.checkpoint()

    def behind(self) -> bool:
        """Return whether there is anything that :meth:`flush` would do."""
        return self.changed > self.durable or len(self._tree.batch) > 0

    def _check(self) -> None:
        if self.failure:
            raise ReadOnlyStoreError(f"a sync failed ({self.failure}): the store is read-only now")
