"""From changes to the lookup log: in their order, once the contents they refer to are safe.

Changes wait in memory until the archive that is being filled is complete; then they are logged
a few at a time between the reading of files, so that the compressing threads never run dry.
"""

from __future__ import annotations

from collections import deque

from djafs.disk.records import Archive, Record
from djafs.store.log_keeper import LogKeeper
from djafs.store.store import Store
from djafs.store.syncer import BACKLOG
from djafs.tools.convert.contents import Draft, writing
from djafs.tools.convert.feed import Feed
from djafs.tools.convert.summary import Summary

MOST_CHANGES = 32_768
"""Changes that wait for one archive."""

FIRST_CHANGES = 4096
"""Changes that wait for the first archive; each waits for twice as many as the one before.

Nothing can be logged before it has its name: so both processes have work early.
"""

SLICE = 64
"""Changes that are logged between two batches of files."""

PIECE = BACKLOG // 16
"""Changes that are logged at one go."""

INDEX_BATCH = BACKLOG // 2
"""Changes after which the index is brought up to date.

Nobody else does that here: the next piece must never find the store waiting for it.
"""

WORTH_CLOSING = 1000
"""Changes after which the log is compressed at the end, instead of by the next mount."""


class _Sealed:
    """Changes that may be logged as soon as their archive has its name."""

    def __init__(self, draft: Draft, changes: list[Record]) -> None:
        self.draft = draft
        self.changes = changes
        self.logged = 0
        self.begun = False


class Intake:
    """Queues changes and logs them."""

    def __init__(self, store: Store, feed: Feed, summary: Summary) -> None:
        self._store = store
        self._feed = feed
        self._summary = summary
        self._most = min(FIRST_CHANGES, MOST_CHANGES)
        self._sealing = False  # the end of the archive was asked for
        self._keeper = LogKeeper(store)
        self._logged = 0
        self._changes: list[Record] = []
        self._due: deque[_Sealed] = deque()
        self._next_ino = 0  # not yet known

    def new_ino(self) -> int:
        """Return a number for a new inode."""
        ino = self._next_ino or self._store.tree.next_ino
        self._next_ino = ino + 1
        return ino

    def add(self, change: Record) -> None:
        """Queue a change; its number and time are filled in when it is logged."""
        self._changes.append(change)

    def step(self) -> None:
        """Log some changes if any may be; seal the archive when enough wait for it.

        Raises WriteError.
        """
        with writing():
            self._step()

    def _step(self) -> None:
        if len(self._changes) >= self._most and not self._sealing:
            self._seal()
        while len(self._due) > 1:
            self._log(1 << 30)
        if self._due and self._due[0].draft.done.done():
            self._log(SLICE)

    def finish(self) -> None:
        """Log everything, and compress the log (raises as :meth:`step` does)."""
        with writing():
            self._feed.drain()
            if self._changes:
                self._seal()
                self._feed.drain()
            while self._due:
                self._log(1 << 30)
            if self._logged >= WORTH_CLOSING:
                self._keeper.close_log()

    def waiting(self) -> list[Record]:
        """Return the changes that are not logged."""
        due = [change for sealed in self._due for change in sealed.changes[sealed.logged :]]
        return due + self._changes

    def _seal(self) -> None:
        self._sealing = True
        self._feed.seal()

    def sealed(self, draft: Draft) -> None:
        """Take note that an archive is complete: what was queued so far is due with its name."""
        self._due.append(_Sealed(draft, self._changes))
        self._changes = []
        self._sealing = False
        self._most = min(2 * self._most, MOST_CHANGES)

    def _log(self, most: int) -> None:
        """Log up to ``most`` changes of the oldest sealed archive."""
        sealed = self._due[0]
        metadata = self._feed.wait(sealed.draft)
        store = self._store
        if not sealed.begun and metadata is not None:
            fields = (metadata.archive, metadata.members, metadata.compressed_bytes)
            with store.guard:
                store.record(Archive(0, store.clock(), *fields))
            self._summary.archives += 1
            self._summary.contents += metadata.members
            self._summary.bytes_in += metadata.content_bytes
            self._summary.bytes_out += metadata.compressed_bytes
        sealed.begun = True
        end = min(len(sealed.changes), sealed.logged + most)
        while sealed.logged < end:
            some = sealed.changes[sealed.logged : min(end, sealed.logged + PIECE)]
            self._log_some(some)
            sealed.logged += len(some)
        if sealed.logged == len(sealed.changes):
            store.syncer.flush()
            self._feed.settle()
            self._due.popleft()
            self._keeper.close_segments()

    def _log_some(self, some: list[Record]) -> None:
        store = self._store
        t = store.clock()
        for change in some:
            change.t = t
        self._logged += len(some)
        with store.guard:
            store.record_all(some)
            for ino in list(store.tree.orphans):
                store.free(ino)
        if len(store.tree.batch) >= INDEX_BATCH:
            store.syncer.flush()
