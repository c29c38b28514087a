"""The segments of the lookup log as files, plain or compressed (docs/formats/lookup-log.md)."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import zstandard

from djafs.disk.host import no_follow
from djafs.disk.layout import Layout, numbers
from djafs.errors import LookupLogDamageError


def segment_numbers(layout: Layout) -> list[int]:
    """Return the numbers of all segments, open and closed, ascending."""
    found = numbers(layout.lookups, "djfl") + numbers(layout.lookups, "djfl.zst")
    return sorted(set(found))


MOST = 256 << 20
"""Bytes that a closed segment inflates to at most; one of ours has some 4 MiB."""


@contextlib.contextmanager
def kept(layout: Layout) -> Iterator[None]:
    """Have a daemon keep, meanwhile, the segments that a new checkpoint makes needless.

    By a shared flock(2) on their directory, which ends with this process. Raises OSError.
    """
    try:
        directory = os.open(layout.lookups, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield  # there is nothing to keep
        return
    try:
        fcntl.flock(directory, fcntl.LOCK_SH)
        yield
    finally:
        os.close(directory)


def are_kept(layout: Layout) -> bool:
    """Return whether somebody reads the log who wants its segments to stay (:func:`kept`)."""
    directory = os.open(layout.lookups, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(directory)
    return False


def segment_path(layout: Layout, number: int) -> str:
    """Return the path that a segment has now: plain as long as that one exists."""
    plain = layout.lookup_segment(number)
    return plain if os.path.exists(plain) else layout.closed_lookup_segment(number)


def open_segment(layout: Layout, number: int) -> BinaryIO:
    """Open a segment for reading its lines, inflating it when it is closed.

    Raises LookupLogDamageError when it is missing.
    """
    path = segment_path(layout, number)
    file = _open(path)
    return io.BufferedReader(_Inflated(file, MOST), 1 << 18) if path.endswith(".zst") else file


def open_compressed(path: str) -> BinaryIO:
    """Open a compressed file for reading its lines (raises LookupLogDamageError)."""
    return io.BufferedReader(_Inflated(_open(path)), 1 << 18)


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb", opener=no_follow)
    except OSError as error:
        raise LookupLogDamageError(f"{path} cannot be read: {error.strerror}") from error


class _Inflated(io.RawIOBase):
    """What a compressed file inflates to. Going back begins anew."""

    def __init__(self, file: BinaryIO, most: int | None = None) -> None:
        self._file = file
        self._most = most
        self._stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (any writable buffer)
        size: int = self._stream.readinto(buffer)
        self._at += size
        if self._most is not None and self._at > self._most:
            raise zstandard.ZstdError("it inflates to more than a segment has")
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence != os.SEEK_SET:
            raise io.UnsupportedOperation("its size is not known")
        if offset < self._at:
            self._file.seek(0)
            self._stream = zstandard.ZstdDecompressor().stream_reader(self._file, closefd=False)
            self._at = 0
        while self._at < offset:
            skipped = len(self._stream.read(min(offset - self._at, 1 << 20)))
            if not skipped:
                break
            self._at += skipped
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()
