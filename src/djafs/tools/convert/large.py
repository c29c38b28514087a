"""Files that are too large to be read at one go: part by part."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from djafs.extents import PART
from djafs.tools.convert.reading import (
    CHANGED,
    SourceError,
    UnreadableError,
    describe,
    open_file,
    same,
)


class FilePart(NamedTuple):
    """One part of a file: its bytes (None for a hole) and their SHA-256."""

    number: int
    data: bytes | None
    digest: bytes


class LargeFile:
    """An open file that is read in parts; raises SourceError when it is another one meanwhile."""

    def __init__(self, name: bytes, directory: int) -> None:
        """Open it (raises OSError)."""
        self._descriptor = open_file(name, directory)
        self.status = os.fstat(self._descriptor)
        if not stat.S_ISREG(self.status.st_mode):
            self.close()
            raise SourceError(CHANGED)

    def parts(self) -> Iterator[FilePart]:
        """Yield its parts, and in the end make sure that it is as it was."""
        size = self.status.st_size
        for number, begin in enumerate(range(0, size, PART)):
            length = min(PART, size - begin)
            if self._is_hole(begin, length):
                yield FilePart(number, None, _digest_of_zeros(length))
                continue
            try:
                data = self._read(begin, length)
            except OSError as error:
                raise UnreadableError(describe(error)) from error
            yield FilePart(number, data, sha256(data).digest())
        if not same(self.status, os.fstat(self._descriptor)):
            raise SourceError(CHANGED)

    def _is_hole(self, begin: int, length: int) -> bool:
        if self.status.st_blocks * 512 >= self.status.st_size:
            return False
        try:
            return os.lseek(self._descriptor, begin, os.SEEK_DATA) >= begin + length
        except OSError as error:
            return error.errno == errno.ENXIO  # nothing but a hole up to the end

    def _read(self, begin: int, length: int) -> bytes:
        pieces = []
        while length:
            piece = os.pread(self._descriptor, length, begin)
            if not piece:
                raise SourceError(CHANGED)
            pieces.append(piece)
            begin += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


@lru_cache(4)
def _digest_of_zeros(length: int) -> bytes:
    return sha256(bytes(length)).digest()
