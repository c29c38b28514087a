"""Waiting for the next request: awake for a moment where that has paid, then asleep."""

from __future__ import annotations

import os
import select
from time import perf_counter

AWAKE = 50e-6
"""Seconds of looking before going to sleep: about what it costs to be woken on another core.

A program that uses the mount sends its next request within a few microseconds of the last reply.
Who has gone to sleep by then has to be woken across cores, which takes longer than the answer.
"""

_LONGEST_PAUSE = 64
"""Waits that are slept through, at most, before it is tried again whether looking pays."""


class Vigil:
    """Waits until ``descriptor`` can be read, which no longer blocks when it is.

    Looking is given up after :data:`AWAKE`; each time it was in vain, twice as many of the waits
    that follow are slept through, until once it was not. So a program that computes between two
    requests does not cost the daemon a core.
    """

    def __init__(self, descriptor: int) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        self._poll = poll.poll
        self._pause = 1
        self._sleeps = 0
        # With one core whoever looks keeps it from the program that is to ask.
        if len(os.sched_getaffinity(0)) > 1:
            os.set_blocking(descriptor, False)

    def wait(self, look: bool = True) -> None:
        """Return when there is something to read, or the other end is gone.

        ``look``: awake first, if that has paid. Not to be called where reading blocks by itself,
        as it does with one core.
        """
        if not look:
            pass
        elif self._sleeps:
            self._sleeps -= 1
        elif self._look():
            self._pause = 1
            return
        else:
            self._sleeps = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._poll()

    def _look(self) -> bool:
        """Say whether there was something to read before looking was given up."""
        poll = self._poll
        end = perf_counter() + AWAKE
        while perf_counter() < end:
            if poll(0):
                return True
        return False
