"""Keeps the lookup log small: closes full segments, and has checkpoints made.

Called from a thread of the daemon that may wait; nothing here holds the guard for long. The
order of steps, each of which may be the last before a crash (docs/ordering.md):

1. A segment that is full, durable and in the index is compressed and read back, gets its name, and
   then the plain one goes.
2. A checkpoint is made from the one before and the closed segments since, read back, and gets its
   name.
3. When that is durable, the checkpoint before and the segments that it covers go; but never the
   last segment, nor one that the index has not left.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from djafs.disk import lookup_segments
from djafs.disk.checkpoint import checkpoint_numbers
from djafs.disk.layout import numbers
from djafs.disk.log_closing import close_segment
from djafs.packing.packer import Packer
from djafs.store.aside import Aside
from djafs.store.log_rescue import checkpoint_of_index
from djafs.store.store import Store

RETRY = 600.0
"""Seconds after which a checkpoint that could not be made is tried again."""


@dataclass(frozen=True)
class Pace:
    """When a checkpoint is due, by the bytes of the closed segments that it would spare.

    While the store changes, it must spare as much as the last one has, and ``least``: so all
    checkpoints together cost but a constant factor of the log, and log and checkpoint take about
    twice the room of the state. When nothing has changed for ``rest`` seconds a quarter of that is
    enough; the open segment is then ended too.
    """

    least: int = 8 << 20
    least_at_rest: int = 1 << 20
    rest: float = 60.0
    grace: float = 600.0
    """Seconds for which what a checkpoint makes needless stays, for those who are reading it."""


class LogKeeper:
    """Keeps the log of one store. Any thread may call it; one call at a time does something."""

    def __init__(self, store: Store, pace: Pace | None = None) -> None:
        self._store = store
        self._pace = pace or Pace()
        self._runner = Packer(store.layout)
        self._turn = threading.Lock()
        self._last = (-1, 0.0)  # the last change that was seen, and when
        self._not_before = 0.0  # when a checkpoint that failed may be tried again

    def close(self) -> None:
        """Stop what is under way, and wait for its end."""
        self._runner.kill()
        with self._turn:
            pass

    def keep(self) -> None:
        """Do what is due. Raises PackingError, ReadOnlyStoreError, DamageError, OSError."""
        with self._turn:
            self._close_segments()
            self._remove_needless(self._pace.grace)
            if time.monotonic() < self._not_before:
                return
            pace, last = self._pace, self._last_size()
            if self._spared() >= max(pace.least, last):
                self._make()
            elif self._is_at_rest() and self._spared(opened=True) >= max(
                pace.least_at_rest, last // 4
            ):
                self._end_segment()
                self._make()

    def checkpoint(self) -> None:
        """Make a checkpoint of all that is logged; keep nothing else. Raises as :meth:`keep`."""
        with self._turn:
            self._end_segment()
            self._make()
            self._remove_needless(0)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep every segment as and where it is meanwhile."""
        with self._turn:
            yield

    def begin_anew(self, aside: Aside, damaged: list[str]) -> None:
        """Let a checkpoint of the index take the place of damaged files of the log.

        Raises ReadOnlyStoreError, OSError, LookupLogDamageError.
        """
        with self._turn:
            checkpoint_of_index(self._store, aside, damaged)

    def close_segments(self) -> int:
        """Compress each segment that is full, durable and in the index; return how many.

        Raises OSError, LookupLogDamageError.
        """
        with self._turn:
            return self._close_segments()

    def close_log(self) -> None:
        """Compress all of the log, the segment that is written too.

        Raises ReadOnlyStoreError, OSError, LookupLogDamageError.
        """
        with self._turn:
            self._end_segment()

    def _close_segments(self) -> int:
        store = self._store
        closed = 0
        for number in numbers(store.layout.lookups, "djfl"):
            if number < self._below():
                close_segment(store.host, store.layout, number)
                closed += 1
        return closed

    def _below(self) -> int:
        """Return the first segment that is still written, or that the index is still in."""
        store = self._store
        with store.guard:
            return min(store.syncer.applied.segment, store.log.position.segment)

    # When

    def _last_size(self) -> int:
        layout = self._store.layout
        known = checkpoint_numbers(layout)
        return os.path.getsize(layout.checkpoint(known[-1])) if known else 0

    def _spared(self, opened: bool = False) -> int:
        """Return the bytes that a checkpoint would spare; plain ones count as compressed."""
        layout = self._store.layout
        covered = max(checkpoint_numbers(layout), default=0)
        closed = [n for n in numbers(layout.lookups, "djfl.zst") if n > covered]
        size = sum(os.path.getsize(layout.closed_lookup_segment(number)) for number in closed)
        if opened:
            plain = [n for n in numbers(layout.lookups, "djfl") if n > covered]
            size += sum(os.path.getsize(layout.lookup_segment(number)) for number in plain) // 5
        return size

    def _is_at_rest(self) -> bool:
        changed, now = self._store.syncer.changed, time.monotonic()
        if changed != self._last[0]:
            self._last = (changed, now)
        return now - self._last[1] >= self._pace.rest

    # Doing it

    def _end_segment(self) -> None:
        """Let the open segment be closed, and close it."""
        store = self._store
        with store.guard:
            store.log.roll(store.clock())
        store.syncer.flush()
        self._close_segments()

    def _make(self) -> None:
        """Have a checkpoint made of all closed segments."""
        store, layout = self._store, self._store.layout
        closed = [n for n in numbers(layout.lookups, "djfl.zst") if n < self._below()]
        if not closed or closed[-1] in checkpoint_numbers(layout):
            return
        number = closed[-1]
        self._not_before = time.monotonic() + RETRY
        self._remove_drafts()
        self._write(number)
        self._not_before = 0.0
        path = layout.checkpoint(number)
        store.host.rename(path + ".tmp", path, "checkpoint.rename")
        store.host.sync_directory(layout.lookups, "checkpoint.sync-directory")

    def _remove_needless(self, grace: float) -> None:
        """Remove what the newest checkpoint covers, if it has its name for that long."""
        host, layout = self._store.host, self._store.layout
        *older, number = checkpoint_numbers(layout) or [0]
        if not number or time.time() - os.stat(layout.checkpoint(number)).st_mtime < grace:
            return
        if lookup_segments.are_kept(layout):
            return
        for checkpoint in older:
            host.unlink(layout.checkpoint(checkpoint), "checkpoint.unlink")
        below = min(self._below(), number + 1, lookup_segments.segment_numbers(layout)[-1])
        for segment in numbers(layout.lookups, "djfl.zst"):
            if segment < below:
                host.unlink(layout.closed_lookup_segment(segment), "checkpoint.unlink-log")
                # One after the other: a power cut that took a later one alone would leave a gap.
                host.sync_directory(layout.lookups, "checkpoint.sync-directory")

    def _remove_drafts(self) -> None:
        """Remove what was given up when the disk was full, or the daemon ended."""
        host, lookups = self._store.host, self._store.layout.lookups
        for name in os.listdir(lookups):
            if name.endswith(".tmp"):
                host.unlink(os.path.join(lookups, name), "checkpoint.unlink-draft")

    def _write(self, number: int) -> None:
        """Write the draft of a checkpoint, in a process of its own, and have it read back."""
        root = os.path.abspath(self._store.layout.root)
        self._runner.ask([sys.executable, "-m", "djafs.store.checkpoints", root, str(number)])
