"""From contents to archives: each content once, written, read back and named.

The order of steps is that of packing (docs/ordering.md): an archive is ended, durable, read back
from the disk and under its name before anything refers to it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from djafs.disk import sqlite, tar
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_writer import ArchiveWriter
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.errors import DamageError, DjafsError, PackingError, ReadOnlyStoreError
from djafs.store.publishing import publish


class WriteError(DjafsError):
    """The store cannot be written; ``full`` when that is for want of space."""

    def __init__(self, cause: Exception) -> None:
        text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        super().__init__(f"the store cannot be written: {text}")
        self.cause = cause
        self.full = getattr(cause, "errno", None) in _FULL or "is full" in str(cause)


@contextmanager
def writing() -> Iterator[None]:
    """Turn every way in which writing the store fails into WriteError."""
    try:
        yield
    except (OSError, sqlite.Error, ReadOnlyStoreError, PackingError, DamageError) as error:
        raise WriteError(error) from error


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

MOST_BYTES = 256 << 20
"""Bytes of content in one archive at most, but for the last member."""

_BYTES = 1 << 24


class Placed(NamedTuple):
    """Where a content is: new in an archive, or (``new`` False) known before."""

    cid: int
    new: bool
    archive: int = 0
    at: int = 0


class Maybe:
    """Which digests the store may have: one bit for each, so that new ones are told at once."""

    def __init__(self, index: Index) -> None:
        self._bits = bytearray(_BYTES)
        for _, content in index.contents():
            self.note(content.digest)

    def note(self, digest: bytes) -> bool:
        """Note a digest; return False if the store did not have it, True may be a mistake."""
        place = int.from_bytes(digest[:4], "little")
        byte, bit = place >> 3 & _BYTES - 1, 1 << (place & 7)
        known = self._bits[byte]
        if known & bit:
            return True
        self._bits[byte] = known | bit
        return False


class Draft:
    """An archive on its way to its name, and the contents in it."""

    def __init__(self, number: int, fresh: dict[bytes, int]) -> None:
        self.number = number
        self.fresh = fresh
        self.done: Future[ArchiveMetadata | None] = Future()


class Contents:
    """Takes contents, and hands over an archive when it is asked to."""

    def __init__(
        self, host: Host, layout: Layout, level: int, threads: int, numbers: tuple[int, int]
    ) -> None:
        """``numbers`` are those of the next content and of the next archive."""
        self._host, self._layout, self._level, self._threads = host, layout, level, threads
        self._next_content, self._next_archive = numbers
        self._index = Index.open_read_only(layout)
        self._maybe = Maybe(self._index)
        self._writer: ArchiveWriter | None = None
        self._draft = Draft(self._next_archive, {})
        self._sealed: list[Draft] = []
        self._finisher = ThreadPoolExecutor(1, "djafs-seal")
        self.size = 0  # bytes of content in the draft

    @property
    def full(self) -> bool:
        """Whether the archive has its size."""
        return self.size >= MOST_BYTES

    def put(self, data: bytes, digest: bytes, entry: tar.Entry) -> Placed:
        """Store a content (at most a part) unless it is there; raises WriteError."""
        if self._maybe.note(digest):
            for draft in (self._draft, *self._sealed):
                cid = draft.fresh.get(digest)
                if cid is not None:
                    return Placed(cid, False)
            cid = self._index.find_content(digest)
            if cid is not None:
                return Placed(cid, False)
        try:  # not writing(), for this is done for every file
            at = self._append(data, entry)
        except OSError as error:
            raise WriteError(error) from error
        cid = self._next_content
        self._next_content += 1
        self._draft.fresh[digest] = cid
        self.size += len(data)
        return Placed(cid, True, self._draft.number, at)

    def _append(self, data: bytes, entry: tar.Entry) -> int:
        if self._writer is None:
            self._writer = ArchiveWriter(
                self._host,
                self._layout.archive_draft(self._draft.number),
                archive=self._draft.number,
                level=self._level,
                threads=self._threads,
            )
        return self._writer.add_small(entry, data)

    def seal(self) -> Draft:
        """End the archive, in the background; its contents may be referred to once it is done."""
        draft, writer = self._draft, self._writer
        if writer is None:
            draft.done.set_result(None)
        else:
            self._next_archive += 1
            draft.done = self._finisher.submit(self._finish, writer)
        self._sealed.append(draft)
        self._writer = None
        self._draft = Draft(self._next_archive, {})
        self.size = 0
        return draft

    def _finish(self, writer: ArchiveWriter) -> ArchiveMetadata:
        try:
            metadata = writer.finish()
        except BaseException:
            writer.abort()
            raise
        path = self._layout.archive_draft(metadata.archive)
        try:
            _read_back(path, metadata.sha256)
        except BaseException:
            self._host.unlink(path, "archive.unlink")
            raise
        publish(self._host, self._layout, metadata)
        return metadata

    def settle(self) -> None:
        """Forget the oldest draft that was sealed: it is in the index now."""
        del self._sealed[0]

    def close(self) -> None:
        """Give up what was not sealed, and wait for what was."""
        self._finisher.shutdown()
        if self._writer is not None:
            self._writer.abort()
        self._index.close()


def _read_back(path: str, sha256: str) -> None:
    """Read an archive from the disk: all its bytes, and every frame against its checksum."""
    reader = ArchiveReader(path)
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for number in range(reader.table.frames):
            frame = reader.compressed(number)
            digest.update(frame)
            reader.inflate(number, frame)
        digest.update(reader.tail())
    finally:
        os.close(descriptor)
        reader.close()
    if digest.hexdigest() != sha256:
        raise PackingError(f"archive {path} does not read back as it was written")
