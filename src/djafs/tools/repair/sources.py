"""Places that may still hold what is lost: other archives, the hot cache, directories beside.

Content is known by its SHA-256 and size. The cheap places are asked first: where the size does not
fit nothing is read, and in directories the paths that the lost files had come before all others.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from zlib import crc32

import zstandard

from djafs.disk import records
from djafs.disk.frame_scan import LooseArchive
from djafs.disk.layout import Layout, numbers
from djafs.disk.lookup_segments import segment_numbers
from djafs.extents import PART
from djafs.tools.validation.log_lines import Gap, LogLines

Reader = Callable[[], bytes]
"""Reads a content again from where it was found; it may have changed, and is verified then."""


@dataclass
class Wanted:
    """Content that is lost. ``paths`` are where its file was, relative to ``live/``."""

    digest: bytes
    size: int
    part: int = 0
    paths: list[bytes] = field(default_factory=list)


class Search:
    """Looks for contents, place by place, until all are found."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self._wanted = {item.digest: item for item in wanted}
        self.found: dict[bytes, tuple[Reader, str]] = {}

    @property
    def missing(self) -> list[Wanted]:
        """What has not been found yet."""
        return list(self._wanted.values())

    def _sizes(self) -> set[int]:
        return {item.size for item in self._wanted.values()}

    def _take(self, digest: bytes, read: Reader, place: str) -> None:
        if self._wanted.pop(digest, None) is not None:
            self.found[digest] = read, place

    # Archives

    def in_archives(self, paths: Iterable[str]) -> None:
        """Look into archives frame by frame, whether their seek tables are whole or not."""
        for path in paths:
            if not self._wanted:
                return
            with suppress(OSError):
                archive = LooseArchive(path)
                for member in archive:
                    if member.digest in self._wanted:
                        read = _loose_reader(archive, member.at, member.size)
                        self._take(member.digest, read, path)

    # The hot cache

    def in_hot(self, layout: Layout, store: str) -> None:
        """Look at what was written in one go, and is still in the hot cache."""
        present = set(numbers(layout.hot, "log"))
        if not self._wanted or not present or not segment_numbers(layout):
            return
        sizes = self._sizes()
        for line in LogLines(layout, store):
            if isinstance(line, Gap) or not isinstance(line.record, records.Write):
                continue
            write = line.record
            if write.seg in present and write.len in sizes:
                path = layout.hot_segment(write.seg)
                self._try(_file_reader(path, write.at, write.len), path)

    def _try(self, read: Reader, place: str) -> None:
        with suppress(OSError):
            self._take(hashlib.sha256(read()).digest(), read, place)

    # Directories

    def in_directory(self, directory: str) -> None:
        """Look at the files of a directory that have the right size, the likely ones first."""
        for item in self.missing:
            for name in item.paths:
                for candidate in places_below(directory, name):
                    self._try(_file_reader(candidate, item.part * PART, item.size), candidate)
        sizes = self._sizes()
        for path, size in _files_below(directory) if sizes else ():
            for begin in range(0, max(size, 1), PART):
                length = min(PART, size - begin)
                if length in sizes:
                    self._try(_file_reader(path, begin, length), path)
            if not self._wanted:
                return


def places_below(directory: str, path: bytes) -> Iterator[str]:
    """Yield where a file of ``live/`` may be in a directory that it came from."""
    names = path.split(b"/")
    for begin in range(len(names)):
        candidate = os.path.join(directory, os.fsdecode(b"/".join(names[begin:])))
        with suppress(OSError):
            if stat.S_ISREG(os.lstat(candidate).st_mode):
                yield candidate


def read_with_sum(path: str, offset: int, length: int, crc: int) -> Reader | None:
    """Return a reader of a range of a file if the bytes there have this CRC-32."""
    read = _file_reader(path, offset, length)
    with suppress(OSError):
        data = read()
        if len(data) == length and crc32(data) == crc:
            return read
    return None


def _files_below(directory: str) -> Iterator[tuple[str, int]]:
    waiting = [directory]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_size


def _file_reader(path: str, offset: int, length: int) -> Reader:
    def read() -> bytes:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags)
        try:
            found = b""
            while len(found) < length:
                more = os.pread(descriptor, length - len(found), offset + len(found))
                if not more:
                    break
                found += more
            return found
        finally:
            os.close(descriptor)

    return read


def _loose_reader(archive: LooseArchive, at: int, size: int) -> Reader:
    def read() -> bytes:
        try:
            return archive.read(at, size)
        except zstandard.ZstdError as error:
            raise OSError(f"{archive.path}: {error}") from error

    return read
