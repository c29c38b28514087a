"""Back-pressure: writers wait a little while more is hot than packing copes with.

Without it, a program that writes faster than djafs packs would fill the disk with its hot cache.
Nothing is refused: each WRITE is done at once, and its answer waits. From :data:`BEGINS` times the
size of the hot cache on, writes go at a rate that is halved with each further eighth of that
size; where it is that of packing, the cache stays as it is (docs/architecture.md).

What cannot be packed (damaged content, or anything while packing fails) does not count: no waiting
would make it less.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BEGINS = 2
"""Times the size of the hot cache from which on answers wait."""

FASTEST = 256 << 20
"""Bytes a second that are let in where it begins."""

HALVINGS = 8
"""How often the rate has been halved when once more the size of the hot cache has come."""

LONGEST = 0.5
"""Seconds that one answer waits at most; only many writers, or large writes, come near it."""


class Pressure:
    """Says how long the answer to a write has to wait. Used under the store's guard."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``limit`` is the size of the hot cache in bytes; ``clock`` gives seconds."""
        self._limit = limit
        self._clock = clock
        self.leave(0)
        self._free = 0.0  # when all that was let in has passed at its rate

    def leave(self, stuck: int) -> None:
        """Count no more on packing to make ``stuck`` bytes of the hot cache go."""
        self.stuck = stuck
        self.due = self._limit + stuck
        """Bytes in the hot cache up to which packing does not start early."""
        self.begins = BEGINS * self._limit + stuck
        """Bytes in the hot cache up to which no answer waits."""

    def delay(self, hot: int, size: int) -> float:
        """Return for how many seconds a write of ``size`` bytes waits, with ``hot`` bytes hot.

        Writers that come together queue up: the rate is that of all of them.
        """
        excess = hot - self.begins
        if excess <= 0:
            return 0.0
        rate = FASTEST / 2 ** min(HALVINGS * excess / self._limit, 64)
        now = self._clock()
        self._free = min(max(self._free, now) + size / rate, now + LONGEST)
        return self._free - now
