"""A thread on which one thing is done while the caller does another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = Callable[[], None]
_Jobs = SimpleQueue["tuple[Job, SimpleQueue[BaseException | None]] | None"]


class Beside:
    """Does two things at a time that both wait for the disk.

    An executor would do, at four times the cost: a future with a condition for every call. The
    thread is started at once, and ends after :meth:`end`.
    """

    def __init__(self) -> None:
        self._jobs: _Jobs = SimpleQueue()
        threading.Thread(target=_serve, args=[self._jobs], name="beside", daemon=True).start()

    def both(self, one: Job, other: Job) -> None:
        """Run ``one`` here and ``other`` on the thread; return when both have ended.

        Raises what ``one`` raised, or else what ``other`` did.
        """
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        self._jobs.put((other, done))
        try:
            one()
        finally:
            error = done.get()
        if error is not None:
            raise error

    def end(self) -> None:
        """Let the thread end, once it has done what it was given."""
        self._jobs.put(None)


def _serve(jobs: _Jobs) -> None:
    """Run what comes. It knows the queue alone, so that whoever has the thread can be collected."""
    while (task := jobs.get()) is not None:
        job, done = task
        error: BaseException | None = None
        try:
            job()
        except BaseException as raised:
            error = raised
        done.put(error)
        del task, job, done, error  # or they would live until the next one comes
