"""Answers that wait for the same thing: one thread gives all that wait, at a time."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]

_write = ctypes.PyDLL(None, use_errno=True).write
_write.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t
_write.restype = ctypes.c_ssize_t


def write_at_once(descriptor: int, reply: bytes) -> None:
    """Do what os.write does, without letting other threads run meanwhile.

    For short replies that are given one after the other, which never block. With os.write the
    thread that answers would take the interpreter after each, for the client that the reply has
    woken, and the others would wait: two switches of threads for each reply. Raises OSError.
    """
    if _write(descriptor, reply, len(reply)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Rounds:
    """Runs jobs on one thread, started when it is needed: of those that wait the latest first.

    For jobs of which the latest does what the earlier ones wait for. On a pool, each would have
    a thread of its own to be woken, to wait for the interpreter, and to find it done.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        """Have ``job`` run in the next round. It must not raise. To be called from one thread."""
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def drain(self) -> None:
        """Wait until all jobs are finished, and end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        while jobs := self._next():
            while jobs:
                jobs.pop()()  # and kept by nobody: what it holds would live until the next round

    def _next(self) -> list[Job]:
        """Wait for a job, and return all that are there by then; none at the end."""
        jobs: list[Job] = []
        while not jobs or not self._jobs.empty():
            job = self._jobs.get()
            if not jobs:
                os.sched_yield()  # whoever is about to ask, and has only to be run, may come along
            if job is None:
                self._jobs.put(None)  # for the next time, when it is all there is
                break
            jobs.append(job)
        return jobs
