"""Reading files of the source: each whole, as it was at one moment, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from resource import RUSAGE_THREAD, getrusage
from typing import NamedTuple

SMALL = 1 << 20
"""Files up to this size are read at one go."""

BATCH = 32
"""Files that may be read ahead."""

ATTEMPTS = 3
"""How often a file is read that changes meanwhile."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMESPACES = ("user.", "trusted.", "security.")

LOOK = 256
"""Files that are read by one thread to see what they cost."""

PAGE = 8
"""Blocks that are read from a disk for a small file at least, as getrusage(2) counts."""

NETWORK = 0.0005
"""Seconds that a small file takes at least if it has to come over a network.

Most of them must: on a busy machine some do because somebody else has the processor.
"""

CHANGED = "changed while it was read"

Xattrs = dict[bytes, bytes]


class SourceError(Exception):
    """A file cannot be brought over; the text says why."""


class UnreadableError(SourceError):
    """Reading it failed, and would fail again."""


class ReadFile(NamedTuple):
    """A regular file: its attributes, and its content unless it is large (None)."""

    status: os.stat_result
    data: bytes | None
    digest: bytes  # SHA-256 of data
    xattrs: Xattrs | None


class Gone(NamedTuple):
    """A name that could not be read as a regular file, and why."""

    error: str


def describe(error: OSError) -> str:
    """Say in a few words what an error means for a file of the source."""
    if error.errno == errno.ENOENT:
        return "vanished while it was read"
    if error.errno == errno.ELOOP:
        return CHANGED
    return f"cannot be read: {error.strerror}"


def open_file(name: bytes, directory: int | None = None) -> int:
    """Open a file of the source, leaving its access time alone where that is allowed."""
    try:
        return os.open(name, _FLAGS | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        return os.open(name, _FLAGS, dir_fd=directory)


def same(before: os.stat_result, after: os.stat_result) -> bool:
    """Return whether a file did not change between two looks at it."""
    return (
        before.st_mtime_ns == after.st_mtime_ns
        and before.st_size == after.st_size
        and before.st_ctime_ns == after.st_ctime_ns
    )


def read_xattrs(place: int | bytes) -> Xattrs | None:
    """Return the extended attributes that a store keeps, of an open file or at a path."""
    try:
        names = os.listxattr(place, follow_symlinks=isinstance(place, int))
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENODATA}:
            return None
        raise
    if not names:
        return None
    found: Xattrs = {}
    for name in names:
        if name.startswith(_NAMESPACES):
            value = _get_xattr(place, name)
            if value is not None:
                found[os.fsencode(name)] = value
    return found or None


def _get_xattr(place: int | bytes, name: str) -> bytes | None:
    try:
        if isinstance(place, int):
            return os.getxattr(place, name)
        return os.getxattr(place, name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA:  # removed just now
            return None
        raise


def read_file(name: bytes, directory: int) -> ReadFile | Gone:
    """Read one file, up to :data:`ATTEMPTS` times if it changes."""
    try:
        for _ in range(ATTEMPTS):
            found = _read_once(name, directory)
            if found is not None:
                return found
    except OSError as error:
        return Gone(describe(error))
    return Gone(CHANGED)


def _read_once(name: bytes, directory: int) -> ReadFile | Gone | None:
    descriptor = open_file(name, directory)
    try:
        status = os.fstat(descriptor)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            return Gone(CHANGED)
        xattrs = read_xattrs(descriptor)
        if size > SMALL:
            return ReadFile(status, None, b"", xattrs)
        data = os.read(descriptor, size + 1)
        if len(data) != size or not same(status, os.fstat(descriptor)):
            return None
        return ReadFile(status, data, sha256(data).digest(), xattrs)
    finally:
        os.close(descriptor)


class Reader:
    """Reads the files of a directory, several at a time once the disk makes one wait.

    While the kernel has everything in memory one thread is fastest, for threads that wait for
    nothing but each other cost more than they bring.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._ahead = 0  # batches until the next look at what reading costs
        self._files = self._blocks = self._slow = 0  # of this look

    def read(
        self, names: Sequence[bytes], directory: int
    ) -> Iterator[tuple[bytes, ReadFile | Gone]]:
        """Yield each name and what it holds, in order."""
        if self._ahead and self._threads > 1:
            self._ahead -= 1
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, "djafs-read")
            yield from zip(
                names,
                self._pool.map(lambda name: read_file(name, directory), names),
                strict=True,
            )
            return
        before, began = getrusage(RUSAGE_THREAD).ru_inblock, time.monotonic()
        found = []
        for name in names:
            found.append((name, read_file(name, directory)))
            ended = time.monotonic()
            self._slow += ended - began > NETWORK
            began = ended
        self._blocks += getrusage(RUSAGE_THREAD).ru_inblock - before
        self._files += len(names)
        if self._files >= LOOK:
            # A disk is seen by what was read from it, a network by the time that went by.
            if self._blocks >= PAGE * self._files or 2 * self._slow > self._files:
                self._ahead = 64
            self._files = self._blocks = self._slow = 0
        yield from found

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
