"""Threads for answers that may block."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]


class Pool:
    """At most ``limit`` threads, started when they are first needed.

    concurrent.futures would do, but makes a future with a lock and a condition for every job,
    which nobody here waits for.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        #: Jobs submitted and not finished; guarded by ``_lock``.
        self._unfinished = 0

    def submit(self, job: Job) -> None:
        """Have ``job`` run soon. It must not raise. To be called from one thread only."""
        with self._lock:
            self._unfinished += 1
            one_more = self._unfinished > len(self._threads) < self._limit
        self._jobs.put(job)
        if one_more:
            number = len(self._threads) + 1
            thread = threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def drain(self) -> None:
        """Wait until all jobs are finished, and end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._unfinished -= 1
            # Or the last job, and all it holds, would live until the next one comes.
            del job
