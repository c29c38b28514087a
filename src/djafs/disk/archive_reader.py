"""Reading archives at random: any range of a tar, inflating only the frames that hold it.

Format: docs/formats/archive.md. Everything read is checked against the seal, the seek table and
the checksum in each frame; what does not match raises ArchiveDamageError, and never becomes
content.
"""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import zstandard

from djafs.disk import seek_table
from djafs.disk.frame_cache import FrameCache
from djafs.disk.layout import Layout
from djafs.disk.lost import NOWHERE
from djafs.disk.seek_table import SeekTable, SeekTableError
from djafs.errors import ArchiveDamageError

_MOST_WINDOW = 1 << 23  # bytes; a frame of ours needs 256 KiB, a forged one gets no more than this


class _PerThread(threading.local):
    """A decompressor for each thread: reusing one saves its set-up, sharing one is not allowed."""

    def __init__(self) -> None:
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW)


_per_thread = _PerThread()


class ArchiveReader:
    """One open archive. Safe for many threads; the descriptor closes with the last reference."""

    table: SeekTable
    size: int  # bytes of the file

    def __init__(self, path: str) -> None:
        """Open the archive at ``path`` and read its seek table.

        Raises ArchiveDamageError if the file is missing or its seek table cannot be trusted.
        """
        self.path = path
        try:
            # Not to wait for a writer, if someone has put a named pipe there.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise ArchiveDamageError(f"archive {path} is missing") from None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            raise ArchiveDamageError(f"archive {path} is no file") from error
        # A thread may still read while another drops this archive from its table of open ones:
        # the reference that it holds keeps the descriptor from being closed, and given to another
        # file, under its hands.
        self.close: Callable[[], object] = weakref.finalize(self, os.close, self._descriptor)
        try:
            self.size = os.fstat(self._descriptor).st_size
            self.table = self._read_table()
        except BaseException:
            self.close()
            raise

    def _read_table(self) -> SeekTable:
        footer_at = max(self.size - seek_table.FOOTER_SIZE, 0)
        try:
            tail = seek_table.tail_size(self._pread(footer_at, self.size - footer_at))
            if tail > self.size:
                raise SeekTableError("it is shorter than its seek table")
            return seek_table.decode(self._pread(self.size - tail, tail), self.size)
        except SeekTableError as error:
            raise self.damage(footer_at, str(error)) from None

    def damage(self, offset: int, what: str) -> ArchiveDamageError:
        """Build the error that names ``what`` is wrong at ``offset`` in the file."""
        return ArchiveDamageError(f"archive {self.path} is damaged at byte {offset}: {what}")

    def _pread(self, offset: int, length: int) -> bytes:
        try:
            found = os.pread(self._descriptor, length, offset)
            while len(found) < length:
                more = os.pread(self._descriptor, length - len(found), offset + len(found))
                if not more:
                    raise self.damage(offset + len(found), "it is cut off")
                found += more
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ESPIPE):
                raise
            raise self.damage(offset, "the disk cannot read it") from error
        return found

    def compressed(self, number: int) -> bytes:
        """Return frame ``number`` (from 0) as it is in the file."""
        offset = self.table.file[number]
        return self._pread(offset, self.table.file[number + 1] - offset)

    def tail(self) -> bytes:
        """Return seal and seek table as they are in the file."""
        offset = self.table.file[-1]
        return self._pread(offset, self.size - offset)

    def inflate(self, number: int, frame: bytes | bytearray) -> bytes:
        """Inflate what :meth:`compressed` returned for frame ``number``.

        Nothing larger than the seek table says is ever allocated. Raises ArchiveDamageError if
        frame and table disagree in size or checksum, or the frame does not inflate.
        """
        tar = self.table.tar
        size = tar[number + 1] - tar[number]
        try:
            parameters = zstandard.get_frame_parameters(frame)
            if parameters.content_size != size:
                problem = "and the seek table disagree about its size"
            elif not parameters.has_checksum or (
                int.from_bytes(frame[-4:], "little") != self.table.checksums[number]
            ):
                problem = "and the seek table disagree about its checksum"
            else:
                content = _per_thread.decompressor.decompress(
                    frame, max_output_size=size, allow_extra_data=False
                )
                if len(content) == size:
                    return content
                problem = "inflates to another size than the seek table says"
        except zstandard.ZstdError as error:
            problem = f"cannot be inflated ({error})"
        raise self.damage(self.table.file[number], f"frame {number} {problem}")

    def frame(self, number: int) -> bytes:
        """Return the bytes of tar in frame ``number``, read and checked."""
        return self.inflate(number, self.compressed(number))

    def frames_of(self, at: int, length: int) -> range:
        """Return the numbers of the frames that hold ``length`` bytes (> 0) at ``at`` in the tar.

        Raises ArchiveDamageError if the tar has no such bytes: the archive is not the one that
        the caller's record of it describes.
        """
        table = self.table
        if at < 0 or length <= 0 or at + length > table.tar_size:
            what = f"its tar of {table.tar_size} bytes has no {length} bytes at {at}"
            raise self.damage(self.size, what)
        first = table.frame_at(at)
        if at + length <= table.tar[first + 1]:
            return range(first, first + 1)
        return range(first, table.frame_at(at + length - 1) + 1)

    def frame_now(self, number: int) -> bytes | None:
        """Return what :meth:`frame` does if the kernel has it in memory, else None.

        Never waits for the disk. Raises ArchiveDamageError.
        """
        offset = self.table.file[number]
        buffer = bytearray(self.table.file[number + 1] - offset)
        try:
            found = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError:  # EAGAIN, or EOPNOTSUPP: whoever may wait finds out what is wrong
            return None
        return self.inflate(number, buffer) if found == len(buffer) else None

    def cut(self, frames: Sequence[bytes], first: int, at: int, length: int) -> bytes:
        """Cut the range out of its inflated frames, of which ``first`` is the first's number."""
        start = at - self.table.tar[first]
        if len(frames) == 1:
            return frames[0][start : start + length]
        end = start + length - sum(map(len, frames[:-1]))
        parts: list[bytes | memoryview]
        parts = [memoryview(frames[0])[start:], *frames[1:-1], memoryview(frames[-1])[:end]]
        return b"".join(parts)

    def read(self, at: int, length: int) -> bytes:
        """Return ``length`` bytes at ``at`` in the tar, without any cache."""
        if not length:
            return b""
        numbers = self.frames_of(at, length)
        return self.cut([self.frame(number) for number in numbers], numbers[0], at, length)


class Archives:
    """The archives of a store, opened as they are needed. Safe for many threads.

    At most ``most_open`` of them keep a descriptor and a seek table (20 bytes a frame).
    """

    def __init__(
        self, layout: Layout, cache: FrameCache | None = None, most_open: int = 64
    ) -> None:
        self._layout = layout
        self._cache = FrameCache() if cache is None else cache
        self._most_open = most_open
        self._lock = threading.Lock()
        self._open: OrderedDict[int, ArchiveReader] = OrderedDict()
        #: The frame that :meth:`cached` found last: its archive, begin and end in the tar, bytes.
        #: Who reads files in order finds a hundred in it, without a lock or a search.
        self._latest = (NOWHERE, 0, 0, b"")

    def reader(self, archive: int) -> ArchiveReader:
        """Return the open archive ``archive``, opening it if need be."""
        if archive == NOWHERE:
            raise ArchiveDamageError(
                "this content is lost; to bring it back: djafs validate -r --from DIR"
            )
        found = self._opened(archive)
        if found is not None:
            return found
        # Opened without the lock, so that cached() never waits for the disk. Two threads may both
        # open it; one of the readers is then closed as soon as nothing refers to it.
        opened = self._open_one(archive)
        with self._lock:
            found = self._open.setdefault(archive, opened)
            while len(self._open) > self._most_open:
                self._open.popitem(last=False)
        return found

    def _open_one(self, archive: int) -> ArchiveReader:
        path = self._layout.archive(archive)
        try:
            return ArchiveReader(path)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self.close()  # others need them more
            return ArchiveReader(path)

    def _opened(self, archive: int) -> ArchiveReader | None:
        with self._lock:
            found = self._open.get(archive)
            if found is not None:
                self._open.move_to_end(archive)
            return found

    def read(self, archive: int, at: int, length: int) -> bytes:
        """Return ``length`` bytes at ``at`` in the tar of ``archive``; may read the disk.

        Raises ArchiveDamageError if the archive is missing, damaged or shorter than that.
        """
        if not length:
            return b""
        reader = self.reader(archive)
        numbers = reader.frames_of(at, length)
        frames = [
            self._cache.load((archive, number), partial(reader.frame, number)) for number in numbers
        ]
        return reader.cut(frames, numbers[0], at, length)

    def cached(self, archive: int, at: int, length: int, *, inflate: bool = False) -> bytes | None:
        """Return what :meth:`read` would if it is all in memory, else None. Never blocks.

        ``inflate``: in the kernel's memory is near enough, for a single frame. Raises
        ArchiveDamageError if the archive, being open, has no such bytes, or is damaged there.
        """
        latest, begin, end, frame = self._latest
        if archive == latest and begin <= at and at + length <= end:
            return frame[at - begin : at - begin + length]
        if not length:
            return b""
        reader = self._opened(archive)
        if reader is None:
            return None
        numbers = reader.frames_of(at, length)
        if len(numbers) == 1:
            return self._cached_in(reader, archive, numbers[0], at, length, inflate)
        frames = []
        for number in numbers:
            found = self._cache.get((archive, number))
            if found is None:
                return None
            frames.append(found)
        return reader.cut(frames, numbers[0], at, length)

    def _cached_in(
        self, reader: ArchiveReader, archive: int, number: int, at: int, length: int, inflate: bool
    ) -> bytes | None:
        frame = self._cache.get((archive, number))
        if frame is None and inflate:
            frame = reader.frame_now(number)
            if frame is not None:
                self._cache.keep((archive, number), frame)
        if frame is None:
            return None
        begin = reader.table.tar[number]
        self._latest = (archive, begin, begin + len(frame), frame)
        return frame[at - begin : at - begin + length]

    def forget(self, archive: int) -> None:
        """Drop what is held of an archive that is gone; reads under way still finish."""
        with self._lock:
            self._open.pop(archive, None)
        self._latest = (NOWHERE, 0, 0, b"")
        self._cache.forget(archive)

    def close(self) -> None:
        """Close every descriptor that no read is using."""
        with self._lock:
            self._open.clear()
