"""The lookup log: every change, one JSON line each (docs/formats/lookup-log.md).

The last field of a line is ``sum``, the CRC-32 of the line up to there, begun with the ``sum``
of the line before: a running hash, so that a line that changed, went missing or moved is seen.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

import msgspec
import zstandard

from djafs.disk import records
from djafs.disk.host import Host
from djafs.disk.layout import Layout, numbers
from djafs.errors import LookupLogDamageError

SEGMENT = 16 << 20
"""Bytes after which the next line begins a new segment."""

LINE = 4 << 20
"""Longest line that a reader takes: more is damage, and memory stays bounded."""

_TAIL = re.compile(rb',"sum":(\d{1,10})\}\n\Z')


class Position(NamedTuple):
    """A place between two lines."""

    segment: int
    offset: int  # bytes from the beginning of the segment, uncompressed
    seq: int  # of the line before
    chain: int  # ``sum`` of the line before


START = Position(0, 0, 0, 0)
"""Before the first line of the first segment."""


def seal(line: bytes, chain: int) -> tuple[bytes, int]:
    """Return ``line`` (a JSON object) with its ``sum``, and that sum."""
    body = line[:-1]
    crc = crc32(body, chain)
    return b'%b,"sum":%d}\n' % (body, crc), crc


class LookupLog:
    """The writer: appends behind a position that a reader found."""

    def __init__(self, host: Host, layout: Layout, store: str, position: Position) -> None:
        self._host = host
        self._layout = layout
        self._store = store
        self._segment, self._tail, self.seq, self.chain = position
        self._descriptor = -1
        self._unsynced: list[int] = []  # segments that are full
        self._named = False  # a segment was begun whose name is not durable yet
        self._torn = False  # a failed write left something behind the last line
        self._before = (self._tail, self.chain)  # the last record
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # of syncs: none closes what another one is at
        path = layout.lookup_segment(self._segment)
        if self._segment and os.path.exists(path):  # else it is closed, and the next one begins
            self._descriptor = host.open(path, os.O_WRONLY, "lookup.open")
            if os.fstat(self._descriptor).st_size > self._tail:
                host.truncate(self._descriptor, self._tail, "lookup.cut")

    @property
    def position(self) -> Position:
        """The place behind the last line."""
        return Position(self._segment, self._tail, self.seq, self.chain)

    def append(self, record: records.Record) -> None:
        """Write one record, whose ``seq`` is the next one.

        Raises OSError, and then the log is as before.
        """
        if self._tail >= SEGMENT or self._descriptor < 0:
            self._begin_segment(record.t)
            record.seq = self.seq + 1
        self._write(record)

    def append_some(self, run: Sequence[records.Record]) -> int:
        """Write records at one go, up to the end of a segment; return how many.

        Their ``seq`` is filled in here. Raises OSError, and then the log is as before.
        """
        if self._tail >= SEGMENT or self._descriptor < 0:
            self._begin_segment(run[0].t)
        lines: list[bytes] = []
        room, seq, chain = SEGMENT - self._tail, self.seq, self.chain
        for record in run:
            seq += 1
            record.seq = seq
            line, chain = seal(records.encode(record), chain)
            lines.append(line)
            room -= len(line)
            if room <= 0:
                break
        self._put(b"".join(lines))
        self.seq, self.chain = seq, chain
        return len(lines)

    def roll(self, t: int) -> None:
        """Begin a segment, so that the one before it can be closed (raises OSError)."""
        if self._descriptor >= 0:
            self._begin_segment(t)

    def sync(self) -> None:
        """Make durable every line that was appended before the call (raises OSError)."""
        with self._turn:
            with self._lock:
                closed, self._unsynced = self._unsynced, []
                current, named, self._named = self._descriptor, self._named, False
            try:
                for descriptor in closed:
                    self._host.sync(descriptor, "lookup.sync")
                if current >= 0:
                    self._host.sync(current, "lookup.sync")
                if named:
                    self._host.sync_directory(self._layout.lookups, "lookup.sync-directory")
            finally:
                for descriptor in closed:
                    self._host.close(descriptor)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        with self._lock:
            if self._descriptor >= 0:
                self._host.close(self._descriptor)
                self._descriptor = -1

    def _write(self, record: records.Record) -> None:
        line, chain = seal(records.encode(record), self.chain)
        before = (self._tail, self.chain)
        self._put(line)
        self._before = before
        self.chain = chain
        self.seq = record.seq

    def retract(self) -> None:
        """Take back the last :meth:`append`, whose record turned out not to fit.

        Raises OSError; the next mount then refuses that record again.
        """
        self._tail, self.chain = self._before
        self.seq -= 1
        self._torn = True
        self._undo()

    def _put(self, lines: bytes) -> None:
        if self._torn:
            self._undo()
        try:
            self._host.pwrite(self._descriptor, lines, self._tail, "lookup.append")
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):  # then before the next write
                self._undo()
            raise
        self._tail += len(lines)

    def _undo(self) -> None:
        self._host.truncate(self._descriptor, self._tail, "lookup.undo")
        self._torn = False

    def _begin_segment(self, t: int) -> None:
        number = self._segment + 1
        path = self._layout.lookup_segment(number)
        # A segment that holds no whole line was begun before a crash: begin it again.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        first = records.Segment(
            self.seq + 1, t, format=1, store=self._store, number=number, chain=self.chain
        )
        line, chain = seal(records.encode(first), self.chain)
        descriptor = self._host.open(path, flags, "lookup.create")
        try:
            self._host.pwrite(descriptor, line, 0, "lookup.begin")
        except BaseException:
            self._host.close(descriptor)
            raise
        with self._lock:
            if self._descriptor >= 0:
                self._unsynced.append(self._descriptor)
            self._descriptor, self._named = descriptor, True
        self._segment, self._tail, self._torn = number, len(line), False
        self.seq, self.chain = first.seq, chain


@dataclass(frozen=True)
class Damage:
    """What is wrong with the log, and where."""

    path: str
    offset: int
    what: str

    def __str__(self) -> str:
        return f"{self.path} is damaged at byte {self.offset}: {self.what}"


class Line(NamedTuple):
    """A record that was read, and the place behind it."""

    record: records.AnyRecord
    position: Position


class LookupReader:
    """Reads the log from a position on, checking every line.

    Iterating ends at the end of the log or at the first line that is not whole; then
    :attr:`damage` says what is wrong with that line, and :attr:`position` where it begins.
    """

    def __init__(self, layout: Layout, store: str, start: Position = START) -> None:
        self._layout = layout
        self._store = store
        self.position = start
        self.damage: Damage | None = None

    def __iter__(self) -> Iterator[Line]:
        for number in segment_numbers(self._layout):
            if number < self.position.segment:
                continue
            if number > self.position.segment + 1:
                self._fail(number, 0, f"segment {self.position.segment + 1} is missing")
                return
            offset = self.position.offset if number == self.position.segment else 0
            yield from self._segment(number, offset)
            if self.damage:
                return

    def _segment(self, number: int, offset: int) -> Iterator[Line]:
        with open_segment(self._layout, number) as lines:
            lines.seek(offset)
            while True:
                try:
                    line = lines.readline(LINE)
                except (zstandard.ZstdError, OSError) as error:
                    self._fail(number, offset, str(error))
                    return
                if not line:
                    return
                record = self._check(number, offset, line)
                if record is None:
                    return
                offset += len(line)
                match = _TAIL.search(line)
                assert match
                self.position = Position(number, offset, record.seq, int(match[1]))
                yield Line(record, self.position)

    def _check(self, number: int, offset: int, line: bytes) -> records.AnyRecord | None:
        match = _TAIL.search(line)
        if not match:
            self._fail(number, offset, "the line is cut off")
            return None
        if crc32(line[: match.start()], self.position.chain) != int(match[1]):
            self._fail(number, offset, "the line fails its checksum")
            return None
        try:
            record: records.AnyRecord = records.decode(line)
        except msgspec.MsgspecError as error:
            self._fail(number, offset, f"not a record: {error}")
            return None
        if record.seq != self.position.seq + 1:
            self._fail(number, offset, f"record {record.seq} follows {self.position.seq}")
            return None
        if isinstance(record, records.Segment) and (
            record.store != self._store or record.number != number
        ):
            self._fail(number, offset, "the segment belongs to another store or place")
            return None
        return record

    def _fail(self, number: int, offset: int, what: str) -> None:
        self.damage = Damage(segment_path(self._layout, number), offset, what)


def segment_start(layout: Layout, number: int) -> Position:
    """Return the position before the first line of a segment, as that line gives it.

    Raises LookupLogDamageError when there is no such line.
    """
    with open_segment(layout, number) as lines:
        try:
            record = records.decode(lines.readline(LINE))
        except (zstandard.ZstdError, msgspec.MsgspecError) as error:
            path = segment_path(layout, number)
            raise LookupLogDamageError(f"{path} has no first line: {error}") from error
    if not isinstance(record, records.Segment):
        raise LookupLogDamageError(f"{segment_path(layout, number)} begins with another record")
    return Position(number, 0, record.seq - 1, record.chain)


def holds(layout: Layout, position: Position) -> bool:
    """Return whether the log has a line that ends at ``position`` as it says."""
    if position == START:
        return True
    try:
        with open_segment(layout, position.segment) as lines:
            start = max(0, position.offset - LINE)
            lines.seek(start)
            line = lines.read(position.offset - start).splitlines(keepends=True)[-1]
        match = _TAIL.search(line)
        return (
            match is not None
            and int(match[1]) == position.chain
            and records.decode(line).seq == position.seq
        )
    except (LookupLogDamageError, OSError, zstandard.ZstdError, IndexError, msgspec.MsgspecError):
        return False


def syncs_after(layout: Layout, position: Position) -> bool:
    """Return whether a line behind ``position`` says that the record there was durable."""
    return any(
        last_mark(layout, number, position.offset if number == position.segment else 0)
        > position.seq
        for number in segment_numbers(layout)
        if number >= position.segment
    )


def last_mark(layout: Layout, number: int, offset: int = 0) -> int:
    """Return the last record that a mark in a segment behind ``offset`` calls durable, or 0.

    Looks at every line by itself, for lines before it may be damaged.
    """
    upto = 0
    with open_segment(layout, number) as lines:
        try:
            lines.seek(offset)
            while line := lines.readline(LINE):
                if b'"op":"sync"' not in line:
                    continue
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    record = records.decode(line)
                    if isinstance(record, records.Sync):
                        upto = max(upto, record.upto)
        except (zstandard.ZstdError, OSError):
            pass  # what cannot be read says nothing
    return upto


def segment_numbers(layout: Layout) -> list[int]:
    """Return the numbers of all segments, open and closed, ascending."""
    found = numbers(layout.lookups, "djfl") + numbers(layout.lookups, "djfl.zst")
    return sorted(set(found))


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
    return io.BufferedReader(_Inflated(file), 1 << 18) if path.endswith(".zst") else file


def open_compressed(path: str) -> BinaryIO:
    """Open a compressed file for reading its lines (raises LookupLogDamageError)."""
    return io.BufferedReader(_Inflated(_open(path)), 1 << 18)


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb", opener=_no_follow)
    except OSError as error:
        raise LookupLogDamageError(f"{path} cannot be read: {error.strerror}") from error


class _Inflated(io.RawIOBase):
    """What a compressed file inflates to. Going back begins anew."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (any writable buffer)
        size: int = self._stream.readinto(buffer)
        self._at += size
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


def _no_follow(path: str, flags: int) -> int:
    # Not to wait for a writer, if someone has put a named pipe there.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
