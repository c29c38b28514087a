"""The lookup log, written: every change, one JSON line each (docs/formats/lookup-log.md)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from djafs.disk import records
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import Position, seal
from djafs.disk.segment_files import SegmentFiles

SEGMENT = 4 << 20
"""Bytes after which the next line begins a new segment."""


class LookupLog:
    """The writer: appends behind a position that a reader found."""

    def __init__(self, host: Host, layout: Layout, store: str, position: Position) -> None:
        self._host = host
        self._layout = layout
        self._store = store
        self._segment, self._tail, self.seq, self.chain = position
        self._torn = False  # a failed write left something behind the last line
        self._before = (self._tail, self.chain)  # the last record
        path = layout.lookup_segment(self._segment)
        descriptor = -1
        if self._segment and os.path.exists(path):  # else it is closed, and the next one begins
            descriptor = host.open(path, os.O_WRONLY, "lookup.open")
            if os.fstat(descriptor).st_size > self._tail:
                host.truncate(descriptor, self._tail, "lookup.cut")
        self._files = SegmentFiles(
            host, layout.lookups, "lookup.sync", "lookup.sync-directory", descriptor
        )

    @property
    def position(self) -> Position:
        """The place behind the last line."""
        return Position(self._segment, self._tail, self.seq, self.chain)

    def append(self, record: records.Record) -> None:
        """Write one record, whose ``seq`` is the next one.

        Raises OSError, and then the log is as before.
        """
        if self._tail >= SEGMENT or self._files.descriptor < 0:
            self._begin_segment(record.t)
            record.seq = self.seq + 1
        self._write(record)

    def append_some(self, run: Sequence[records.Record]) -> int:
        """Write records at one go, up to the end of a segment; return how many.

        Their ``seq`` is filled in here. Raises OSError, and then the log is as before.
        """
        if self._tail >= SEGMENT or self._files.descriptor < 0:
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
        if self._files.descriptor >= 0:
            self._begin_segment(t)

    def check(self) -> str | None:
        """Return what somebody else has done to the open segment, None if nothing."""
        return self._files.check(self._layout.lookup_segment(self._segment), self._tail)

    def retract(self) -> None:
        """Take back the last :meth:`append`, whose record turned out not to fit.

        Raises OSError; the next mount then refuses that record again.
        """
        self._tail, self.chain = self._before
        self.seq -= 1
        self._torn = True
        self._undo()

    def write_out(self) -> None:
        """Begin to write to the disk what was appended last; :meth:`sync` then waits for less."""
        self._files.write_out("lookup.write-out")

    def sync(self) -> None:
        """Make durable every line that was appended before the call (raises OSError)."""
        self._files.sync()

    def close(self) -> None:
        """Sync and close."""
        self._files.close()

    def _write(self, record: records.Record) -> None:
        line, chain = seal(records.encode(record), self.chain)
        before = (self._tail, self.chain)
        self._put(line)
        self._before = before
        self.chain = chain
        self.seq = record.seq

    def _put(self, lines: bytes) -> None:
        if self._torn:
            self._undo()
        try:
            self._host.pwrite(self._files.descriptor, lines, self._tail, "lookup.append")
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):  # then before the next write
                self._undo()
            raise
        self._tail += len(lines)

    def _undo(self) -> None:
        self._host.truncate(self._files.descriptor, self._tail, "lookup.undo")
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
        self._files.begin(descriptor)
        self._segment, self._tail, self._torn = number, len(line), False
        self.seq, self.chain = first.seq, chain
