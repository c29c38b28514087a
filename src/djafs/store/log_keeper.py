"""Keeps the lookup log small: closes full segments, and has checkpoints made.

Called from a thread of the daemon that may wait; nothing here holds the guard for long.
"""

from __future__ import annotations

from djafs.disk.layout import numbers
from djafs.disk.log_closing import close_segment
from djafs.store.store import Store


class LogKeeper:
    """Keeps the log of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def close_segments(self) -> int:
        """Compress each segment that is full, durable and in the index; return how many.

        Raises OSError, LookupLogDamageError.
        """
        store = self._store
        with store.guard:
            below = min(store.syncer.applied.segment, store.log.position.segment)
        closed = 0
        for number in numbers(store.layout.lookups, "djfl"):
            if number < below:
                close_segment(store.host, store.layout, number)
                closed += 1
        return closed
