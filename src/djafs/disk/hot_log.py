"""The hot log: content that was written and is not yet archived (docs/formats/hot-log.md).

Segments hold nothing but content, one write after the other. Nothing in them is ever
overwritten; where each run of bytes belongs, and its checksums, stand in the lookup log.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from zlib import crc32

from djafs.disk.host import Host
from djafs.disk.layout import Layout, numbers
from djafs.disk.segment_files import SegmentFiles
from djafs.errors import HotLogDamageError
from djafs.extents import CHUNK

SEGMENT = 16 << 20
"""Bytes after which the next write begins a new segment."""

OPEN_SEGMENTS = 32
"""Descriptors a reader keeps; the least recently used is closed first."""


def checksums(data: bytes | memoryview) -> list[int]:
    """Return the CRC-32 of each 64 KiB of ``data``."""
    if len(data) <= CHUNK:
        return [crc32(data)]
    view = memoryview(data)
    return [crc32(view[start : start + CHUNK]) for start in range(0, len(view), CHUNK)]


def pack_checksums(crcs: list[int]) -> bytes:
    """Return checksums as extents hold them: 4 bytes little-endian each."""
    if len(crcs) == 1:
        return crcs[0].to_bytes(4, "little")
    return b"".join(crc.to_bytes(4, "little") for crc in crcs)


class HotLog:
    """The writer. Every mount begins a segment of its own at its first write."""

    def __init__(self, host: Host, layout: Layout, last: int = 0, most: int = SEGMENT) -> None:
        """Go on behind segment ``last``: no number is given twice, even if its file is gone.

        Segments have ``most`` bytes: on a small disk, one that is packed must fit beside itself.
        """
        self._most = most
        self._host = host
        self._layout = layout
        present = numbers(layout.hot, "log")
        self._sizes = {n: os.path.getsize(layout.hot_segment(n)) for n in present}
        self._total = sum(self._sizes.values())
        self._files = SegmentFiles(host, layout.hot, "hot.sync", "hot.sync-directory")
        self.segment = max(last, present[-1] if present else 0)
        self._tail = SEGMENT

    @property
    def size(self) -> int:
        """Bytes in all segments."""
        return self._total

    def size_below(self, segment: int) -> int:
        """Return the bytes in segments with a smaller number."""
        return sum(size for number, size in self._sizes.items() if number < segment)

    def check(self) -> str | None:
        """Return what somebody else has done to the open segment, None if nothing."""
        return self._files.check(self._layout.hot_segment(self.segment), self._tail)

    def append(self, data: bytes | memoryview) -> tuple[int, int]:
        """Write ``data`` behind all that was written, and return its (segment, offset).

        Raises OSError, and then nothing was appended: the next write takes the same place.
        """
        at = self._tail
        if at + len(data) > min(SEGMENT, self._most) and (at or self._files.descriptor < 0):
            self._begin_segment()
            at = 0
        self._host.pwrite(self._files.descriptor, data, at, "hot.append")
        self._tail = at + len(data)
        self._sizes[self.segment] = self._tail
        self._total += len(data)
        return self.segment, at

    def write_out(self) -> None:
        """Begin to write to the disk what was appended last; :meth:`sync` then waits for less."""
        self._files.write_out("hot.write-out")

    def sync(self) -> None:
        """Make durable all that was appended before the call (raises OSError)."""
        self._files.sync()

    def roll(self) -> None:
        """Let the next write begin a segment, so that this one can go once it is packed."""
        if self._files.descriptor >= 0 and self._tail:
            self._files.end()
            self._tail = SEGMENT

    def drop_below(self, segment: int) -> int:
        """Remove every segment with a smaller number; return the bytes that came free."""
        before = self._total
        below = min(segment, self.segment if self._files.descriptor >= 0 else self.segment + 1)
        for number in [n for n in self._sizes if n < below]:
            self._host.unlink(self._layout.hot_segment(number), "hot.unlink")
            self._total -= self._sizes.pop(number)
        return before - self._total

    def close(self) -> None:
        """Sync and close."""
        self._files.close()
        self._tail = SEGMENT

    def _begin_segment(self) -> None:
        path = self._layout.hot_segment(self.segment + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = self._host.open(path, flags, "hot.create")
        self._files.begin(descriptor)
        self.segment += 1
        self._tail = 0
        self._sizes[self.segment] = 0


class HotReader:
    """Reads content back, and never returns a byte that fails its checksum. Thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._descriptors: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, segment: int, at: int, length: int, base: int, span: int, crcs: bytes) -> bytes:
        """Return ``length`` bytes at ``at``, from the run of ``span`` bytes at ``base``.

        Reads whole chunks of the run and checks each against ``crcs``. Raises
        HotLogDamageError when the segment is missing, short, or fails a checksum.
        """
        first = (at - base) // CHUNK
        start = base + first * CHUNK
        end = min(base + span, base + -(-(at + length - base) // CHUNK) * CHUNK)
        data = self._pread(segment, start, end - start)
        chunks = -((start - end) // CHUNK)
        view = memoryview(data)
        for number in range(chunks):
            stored = crcs[(first + number) * 4 : (first + number) * 4 + 4]
            chunk = view[number * CHUNK : (number + 1) * CHUNK]
            if crc32(chunk).to_bytes(4, "little") != stored:
                raise self._damage(segment, start + number * CHUNK)
        if start == at and end == at + length:
            return data
        return data[at - start : at - start + length]

    def forget_below(self, segment: int) -> None:
        """Close the descriptors of segments that were removed."""
        with self._lock:
            for number in [n for n in self._descriptors if n < segment]:
                os.close(self._descriptors.pop(number))

    def close(self) -> None:
        """Close every descriptor."""
        self.forget_below(1 << 62)

    def _pread(self, segment: int, start: int, length: int) -> bytes:
        with self._lock:
            descriptor = self._descriptors.get(segment, -1)
            if descriptor < 0:
                descriptor = self._open(segment)
            self._descriptors.move_to_end(segment)
            try:
                data = os.pread(descriptor, length, start)
            except OSError as error:  # a bad sector, or no regular file
                raise self._damage(segment, start) from error
        if len(data) != length:
            raise self._damage(segment, start + len(data))
        return data

    def _open(self, segment: int) -> int:
        # Not to wait for a writer, if someone has put a named pipe there.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        path = self._layout.hot_segment(segment)
        try:
            try:
                descriptor = os.open(path, flags)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._descriptors:
                    raise
                while self._descriptors:  # others need them more
                    os.close(self._descriptors.popitem()[1])
                descriptor = os.open(path, flags)
        except FileNotFoundError as error:
            raise HotLogDamageError(f"{path} is missing; run djafs validate -v") from error
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            raise HotLogDamageError(f"{path} is no file; run djafs validate -v") from error
        self._descriptors[segment] = descriptor
        if len(self._descriptors) > OPEN_SEGMENTS:
            os.close(self._descriptors.popitem(last=False)[1])
        return descriptor

    def _damage(self, segment: int, offset: int) -> HotLogDamageError:
        path = self._layout.hot_segment(segment)
        return HotLogDamageError(f"{path} is damaged at byte {offset}; run djafs validate -v")
