"""Counting regular files, as ``find PATH -type f | wc -l`` does, at about the speed of find.

A naive walk asks the kernel for the attributes of every file. Listing a directory already says
of each entry what it is (``d_type`` of getdents(2)), so here a directory costs one listing and
a file costs nothing; only where a filesystem leaves the kind unknown, the entry is looked at.
Measured on 100,000 files in 1,000 directories, caches warm, Python 3.11: 55 ms, find 60 ms,
``os.walk`` with ``os.path.isfile`` 450 ms.

One thread is fastest while the caches are warm. As soon as the walk spends its time waiting for
a disk, more threads join: 20,000 directories, caches cold, took 2.3 s with one and 1.0 s with
four threads (eight were no faster).
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

Complain = Callable[[str, OSError], None]
"""Called with the path of what could not be read, and why; by one thread at a time."""

Tick = Callable[[int], None]
"""Called now and then with the number of files counted so far; by one thread at a time."""

_BATCH = 4096
"""Entries between two ticks."""

_TRIAL_SECONDS = 0.05
"""How long the first thread walks alone before it looks whether it was waiting."""

_THREADS = 4

_PATH_MAX = 4096
"""Bytes of a path, with the NUL at its end, that the kernel takes at once (limits.h)."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def count_files(path: str, complain: Complain, tick: Tick | None = None) -> int:
    """Return the number of regular files at and below ``path``.

    Symbolic links are not followed, not even ``path`` itself (unless it ends in a slash); a file
    with several names counts once for each; filesystems mounted below are entered. What cannot
    be read goes to ``complain``, and the count goes on.
    """
    try:
        kind = os.lstat(path).st_mode
    except OSError as error:
        complain(path, error)
        return 0
    if not stat.S_ISDIR(kind):
        return int(stat.S_ISREG(kind))
    return _Walk(path, complain, tick).run()


class _Walk:
    """One count over a tree.

    Invariant: a directory that was found and not yet read through is either in ``_waiting`` or
    counted in ``_busy``; when both are empty, the walk is over.
    """

    def __init__(self, top: str, complain: Complain, tick: Tick | None) -> None:
        self._complain = complain
        self._tick = tick
        self._files = 0
        self._waiting = [top]
        self._busy = 0
        self._changed = threading.Condition()
        """Guards everything above."""

    def run(self) -> int:
        """Walk the whole tree and return the number of files."""
        if not self._walk_alone():
            helpers = [
                threading.Thread(target=self._walk_along, daemon=True) for _ in range(_THREADS - 1)
            ]
            for helper in helpers:
                helper.start()
            self._walk_along()
            for helper in helpers:
                helper.join()
        return self._files

    def _walk_alone(self) -> bool:
        """Walk until all is done (return True) or it turns out that this thread mostly waits."""
        began, worked = time.monotonic(), time.thread_time()
        while self._waiting:
            self._waiting += self._read(self._waiting.pop())
            elapsed = time.monotonic() - began
            if elapsed > _TRIAL_SECONDS:
                if time.thread_time() - worked < elapsed / 2 and self._waiting:
                    return False
                began, worked = time.monotonic(), time.thread_time()
        return True

    def _walk_along(self) -> None:
        """Walk beside other threads until nothing is left to read."""
        while True:
            with self._changed:
                while not self._waiting:
                    if not self._busy:
                        return
                    self._changed.wait()
                directory = self._waiting.pop()
                self._busy += 1
            found: list[str] = []
            try:
                found = self._read(directory)
            finally:
                with self._changed:
                    self._waiting += found
                    self._busy -= 1
                    self._changed.notify_all()

    def _read(self, directory: str) -> list[str]:
        """Count the files in a directory and return the directories in it."""
        found: list[str] = []
        try:
            with _listing(directory) as entries:
                while batch := list(islice(entries, _BATCH)):
                    self._sort(directory, batch, found)
        except OSError as error:
            self._report(directory, error)
        return found

    def _sort(self, directory: str, batch: list[os.DirEntry[str]], found: list[str]) -> None:
        files = 0
        for entry in batch:
            try:
                if entry.is_file(follow_symlinks=False):
                    files += 1
                elif entry.is_dir(follow_symlinks=False):
                    found.append(os.path.join(directory, entry.name))
            except OSError as error:
                self._report(os.path.join(directory, entry.name), error)
        with self._changed:
            self._files += files
            if self._tick is not None:
                self._tick(self._files)

    def _report(self, path: str, error: OSError) -> None:
        with self._changed:
            self._complain(path, error)


@contextmanager
def _listing(directory: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """List a directory, however long its path is."""
    try:
        entries = os.scandir(directory)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        descriptor = _open_deep(directory)
        try:
            with os.scandir(descriptor) as entries:
                yield entries
        finally:
            os.close(descriptor)
    else:
        with entries:
            yield entries


def _open_deep(directory: str) -> int:
    """Open a directory whose path is longer than the kernel takes at once, stage by stage."""
    rest = os.fsencode(directory)
    descriptor = os.open(b"/" if rest.startswith(b"/") else b".", _DIRECTORY)
    while rest := rest.lstrip(b"/"):
        # Cut at the last slash that keeps the stage short enough.
        cut = len(rest) if len(rest) < _PATH_MAX else rest.rindex(b"/", 0, _PATH_MAX)
        outer = descriptor
        try:
            descriptor = os.open(rest[:cut], _DIRECTORY, dir_fd=outer)
        finally:
            os.close(outer)
        rest = rest[cut:]
    return descriptor
