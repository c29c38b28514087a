"""The lookup log, read: every line is checked (docs/formats/lookup-log.md)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import zstandard

from djafs.disk import records
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import LINE, START, TAIL, Position
from djafs.disk.lookup_segments import open_segment, segment_numbers, segment_path
from djafs.errors import LookupLogDamageError


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
                found = self._check(number, offset, line)
                if found is None:
                    return
                offset += len(line)
                self.position = found.position
                yield found

    def _check(self, number: int, offset: int, line: bytes) -> Line | None:
        match = TAIL.search(line)
        if not match:
            self._fail(number, offset, "the line is cut off")
            return None
        chain = int(match[1])
        if crc32(line[: match.start()], self.position.chain) != chain:
            self._fail(number, offset, "the line fails its checksum")
            return None
        try:
            record: records.AnyRecord = records.decode(line)
        except records.UNREADABLE as error:
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
        return Line(record, Position(number, offset + len(line), record.seq, chain))

    def _fail(self, number: int, offset: int, what: str) -> None:
        self.damage = Damage(segment_path(self._layout, number), offset, what)


def segment_start(layout: Layout, number: int) -> Position:
    """Return the position before the first line of a segment, as that line gives it.

    Raises LookupLogDamageError when there is no such line.
    """
    with open_segment(layout, number) as lines:
        try:
            record = records.decode(lines.readline(LINE))
        except (zstandard.ZstdError, *records.UNREADABLE) as error:
            path = segment_path(layout, number)
            raise LookupLogDamageError(f"{path} has no first line: {error}") from error
    if not isinstance(record, records.Segment):
        raise LookupLogDamageError(f"{segment_path(layout, number)} begins with another record")
    return Position(number, 0, record.seq - 1, record.chain)


def place_behind(layout: Layout, number: int, seq: int) -> Position | None:
    """Return the place behind record ``seq`` of a segment, as its line gives it; None for none.

    Looks at lines without decoding them: this is how a mount finds what it has to read.
    """
    wanted = b'"seq":%d,' % seq  # quotes inside of a name are escaped
    offset = 0
    with open_segment(layout, number) as lines, contextlib.suppress(zstandard.ZstdError, OSError):
        while line := lines.readline(LINE):
            offset += len(line)
            if wanted in line:
                match = TAIL.search(line)
                return Position(number, offset, seq, int(match[1])) if match else None
    return None


def holds(layout: Layout, position: Position) -> bool:
    """Return whether the log has a line that ends at ``position`` as it says."""
    if position == START:
        return True
    try:
        with open_segment(layout, position.segment) as lines:
            start = max(0, position.offset - LINE)
            lines.seek(start)
            line = lines.read(position.offset - start).splitlines(keepends=True)[-1]
        match = TAIL.search(line)
        return (
            match is not None
            and int(match[1]) == position.chain
            and records.decode(line).seq == position.seq
        )
    except (LookupLogDamageError, OSError, zstandard.ZstdError, IndexError, *records.UNREADABLE):
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
                with contextlib.suppress(*records.UNREADABLE):
                    record = records.decode(line)
                    if isinstance(record, records.Sync):
                        upto = max(upto, record.upto)
        except (zstandard.ZstdError, OSError):
            pass  # what cannot be read says nothing
    return upto
