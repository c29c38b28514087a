"""Answers that are given later: a thread that waits for the time of the next one."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count

Job = Callable[[], None]


class Delays:
    """Runs jobs when their time has come, on one thread that is started when it is first needed.

    A job must not block, as it would hold up those behind it, and must not raise.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Job]] = []  # a heap, by time and then in order
        self._order = count()
        self._thread: threading.Thread | None = None
        self._ending = False

    def submit(self, seconds: float, job: Job) -> None:
        """Have ``job`` run ``seconds`` from now."""
        with self._changed:
            entry = (time.monotonic() + seconds, next(self._order), job)
            heapq.heappush(self._waiting, entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._waiting[0] is entry:
                self._changed.notify()

    def drain(self) -> None:
        """Run at once what still waits, and end the thread."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            del job  # or what it holds would live until the next one is due

    def _next(self) -> Job | None:
        """Return the next job when it is due; None at the end."""
        with self._changed:
            while True:
                if not self._waiting:
                    if self._ending:
                        return None
                    self._changed.wait()
                    continue
                left = self._waiting[0][0] - time.monotonic()
                if left <= 0 or self._ending:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(left)
