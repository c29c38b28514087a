"""The names in a directory, in the order of their bytes, in memory of fixed size.

Up to :data:`IN_MEMORY` names are sorted in memory. Of more, sorted runs are kept in a temporary
file and merged.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

IN_MEMORY = 100_000


class SortedNames:
    """Collects names, then yields them in order; once."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._most = in_memory
        self._names: list[bytes] = []
        self._runs: list[IO[bytes]] = []
        self.count = 0

    def add(self, name: bytes) -> None:
        """Add a name."""
        self._names.append(name)
        self.count += 1
        if len(self._names) >= self._most:
            self._spill()

    def _spill(self) -> None:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it has been read)
        self._names.sort()
        file.writelines(name + b"\0" for name in self._names)
        file.seek(0)
        self._runs.append(file)
        self._names = []

    def __iter__(self) -> Iterator[bytes]:
        """Yield the names in order."""
        names, self._names = self._names, []
        names.sort()
        if not self._runs:
            return iter(names)
        return heapq.merge(names, *map(_read, self._runs))


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        rest = b""
        while chunk := file.read(1 << 16):
            *names, rest = (rest + chunk).split(b"\0")
            yield from names


class Listing:
    """What lies in an open directory: directories, regular files, and all others."""

    def __init__(self, descriptor: int) -> None:
        """List it (raises OSError)."""
        self.files = SortedNames()
        self.others = SortedNames()
        self.directories = SortedNames()
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if entry.is_file(follow_symlinks=False):
                    self.files.add(name)
                elif entry.is_dir(follow_symlinks=False):
                    self.directories.add(name)
                else:
                    self.others.add(name)


def batches(names: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Cut names into lists of at most ``size``."""
    batch: list[bytes] = []
    for name in names:
        batch.append(name)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
