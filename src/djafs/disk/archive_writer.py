"""Writing an archive: members in, a seekable tar.zst out, in constant memory.

Format: docs/formats/archive.md. The frames are compressed by a few threads (zstd releases the
interpreter's lock), at most a few ahead of what is written, and written in order.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import zstandard

from djafs.disk import seek_table, tar
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.host import Host
from djafs.disk.seek_table import FRAME

_AHEAD = 2  # frames waiting for each thread


class Member(NamedTuple):
    """Where a content has gone."""

    at: int  # in the tar
    size: int
    digest: bytes  # SHA-256, 32 bytes


class _Compressor(threading.local):
    """A compressor for each thread: making one for each frame would cost more than the frame."""

    def __init__(self, level: int) -> None:
        self.zstd = zstandard.ZstdCompressor(
            level=level, write_checksum=True, write_content_size=True
        )


class ArchiveWriter:
    """Writes one archive to ``path``; use by one thread, once.

    Call :meth:`add` for each member, then :meth:`finish`; or :meth:`abort`, also after any of
    them has raised. Frames are compressed by ``threads`` threads, or by the caller's if 0.
    """

    def __init__(
        self, host: Host, path: str, *, archive: int = 0, level: int = 9, threads: int = 0
    ) -> None:
        """Create the file, replacing one that a crash has left there.

        It is replaced and not overwritten: should a dying process still write to it, it writes
        to a file without a name.
        """
        self._host = host
        self._path = path
        self._archive = archive
        self._level = level
        self._compressor = _Compressor(level)
        self._pool = ThreadPoolExecutor(threads, "djafs-zstd") if threads else None
        self._most_waiting = threads * (1 + _AHEAD)
        self._waiting: deque[tuple[int, Future[bytes]]] = deque()  # size of tar, compressed
        self._frame: list[bytes] = []  # the frame being filled
        self._filled = 0  # its bytes; <= FRAME
        self._tar_size = 0  # bytes of tar in closed frames
        self._file_size = 0
        self._file_sizes = array("I")
        self._tar_sizes = array("I")
        self._checksums = array("I")
        self._hash = hashlib.sha256()
        self._members = 0
        self._content_size = 0
        self._oldest: int | None = None
        self._newest: int | None = None
        self._broken = False  # a step has failed: the archive can only be aborted
        if os.path.lexists(path):
            host.unlink(path, "archive.unlink")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._descriptor: int | None = host.open(path, flags, "archive.create")

    def add(self, entry: tar.Entry, chunks: Iterable[bytes], digest: bytes | None = None) -> Member:
        """Add a regular file whose content is ``chunks``, ``entry.size`` bytes in all.

        ``digest`` is the SHA-256 of the content, if the caller has it already: computing it twice
        would be most of the cost of a small member. Raises ValueError if the chunks are of
        another size, OSError if the disk refuses; the archive can then only be aborted.
        """
        if self._broken:
            raise ValueError("this archive is incomplete")
        head = tar.header(entry)
        size = entry.size
        end = tar.padded(size)
        self._broken = True
        if self._filled + len(head) + end > FRAME:
            self._close_frame()
        at = self._tar_size + self._filled + len(head)
        if digest is None:
            digest = self._append_hashed(head, size, chunks)
        else:
            self._append(head, size, chunks)
        if end != size:
            self._frame.append(tar.PADDING[size % tar.BLOCK])
            self._filled += end - size
        self._broken = False
        self._count(size, entry.mtime_ns)
        return Member(at, size, digest)

    def add_small(self, entry: tar.Entry, data: bytes) -> int:
        """Add a regular file that its caller holds and has hashed; return where it is in the tar.

        Does what :meth:`add` does, for those who have very many of them.
        """
        head = tar.header(entry)
        size = entry.size
        length = len(head) + tar.padded(size)
        if length > FRAME:
            return self.add(entry, (data,), b"").at
        if self._broken or len(data) != size:
            raise ValueError("this archive is incomplete, or the content is of another size")
        if self._filled + length > FRAME:
            self._broken = True
            self._close_frame()
            self._broken = False
        at = self._tar_size + self._filled + len(head)
        self._frame += (head, data, tar.PADDING[size % tar.BLOCK])
        self._filled += length
        self._count(size, entry.mtime_ns)
        return at

    def _count(self, size: int, mtime_ns: int) -> None:
        self._members += 1
        self._content_size += size
        if self._oldest is None or mtime_ns < self._oldest:
            self._oldest = mtime_ns
        if self._newest is None or mtime_ns > self._newest:
            self._newest = mtime_ns

    def _append_hashed(self, head: bytes, size: int, chunks: Iterable[bytes]) -> bytes:
        sha = hashlib.sha256()

        def hashed() -> Iterable[bytes]:
            for chunk in chunks:
                sha.update(chunk)
                yield chunk

        self._append(head, size, hashed())
        return sha.digest()

    def _append(self, head: bytes, size: int, chunks: Iterable[bytes]) -> None:
        """Append a member without its padding, closing frames as they fill."""
        left = size
        self._put(head)
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            self._put(chunk)
        if left:
            raise ValueError("a content is not of the size that its header says")

    def _put(self, piece: bytes) -> None:
        room = FRAME - self._filled
        if len(piece) <= room:
            self._frame.append(piece)
            self._filled += len(piece)
            return
        view = memoryview(piece)
        while view:
            if not room:
                self._close_frame()
                room = FRAME
            taken = bytes(view[:room])
            self._frame.append(taken)
            self._filled += len(taken)
            view = view[room:]
            room -= len(taken)

    def _close_frame(self) -> None:
        """Hand the frame to a compressor, waiting if too many are ahead of the disk."""
        if not self._filled:
            return
        content = b"".join(self._frame)
        self._frame.clear()
        self._filled = 0
        self._tar_size += len(content)
        if self._pool is None:
            self._write_frame(len(content), self._compress(content))
            return
        self._waiting.append((len(content), self._pool.submit(self._compress, content)))
        while len(self._waiting) > self._most_waiting or (
            self._waiting and self._waiting[0][1].done()
        ):
            self._write_oldest()

    def _compress(self, content: bytes) -> bytes:
        return self._compressor.zstd.compress(content)

    def _write_oldest(self) -> None:
        size, compressed = self._waiting.popleft()
        self._write_frame(size, compressed.result())

    def _write_frame(self, size: int, compressed: bytes) -> None:
        self._tar_sizes.append(size)
        self._file_sizes.append(len(compressed))
        self._checksums.append(int.from_bytes(compressed[-4:], "little"))
        self._write(compressed)

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None
        self._host.pwrite(self._descriptor, data, self._file_size, "archive.write")
        self._file_size += len(data)
        self._hash.update(data)

    def finish(self) -> ArchiveMetadata:
        """End the tar, write the seek table, make the file durable and close it.

        The name of the file is not yet durable: that is for whoever gives it its final one.
        """
        if self._broken or self._descriptor is None:
            raise ValueError("this archive is incomplete or closed")
        self._broken = True
        if self._filled + len(tar.END) > FRAME:
            self._close_frame()
        self._put(tar.END)
        self._close_frame()
        while self._waiting:
            self._write_oldest()
        frames = len(self._checksums)
        self._write(seek_table.encode(self._file_sizes, self._tar_sizes, self._checksums))
        self._host.sync(self._descriptor, "archive.sync")
        self._release()
        return ArchiveMetadata(
            archive=self._archive,
            members=self._members,
            content_bytes=self._content_size,
            tar_bytes=self._tar_size,
            compressed_bytes=self._file_size,
            frames=frames,
            oldest_ns=self._oldest,
            newest_ns=self._newest,
            level=self._level,
            sha256=self._hash.hexdigest(),
            created_ns=time.time_ns(),
        )

    def _release(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        if self._descriptor is not None:
            self._host.close(self._descriptor)
            self._descriptor = None

    def abort(self) -> None:
        """Close and remove the file; does nothing after :meth:`finish`."""
        if self._descriptor is None:
            return
        self._waiting.clear()
        self._release()
        self._host.unlink(self._path, "archive.unlink")
