"""Every whole line of the lookup log, going on behind what is damaged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import zstandard

from djafs.disk import records
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import LINE, START, Position
from djafs.disk.lookup_reader import Damage, Line, LookupReader, segment_start
from djafs.disk.lookup_segments import open_segment, segment_numbers, segment_path
from djafs.errors import LookupLogDamageError

_SUM = re.compile(rb',"sum":(\d{1,10})\}\n\Z')
_SEQ = re.compile(rb'"seq":(\d{1,18})[,}]')


class Gap(NamedTuple):
    """Lines that cannot be trusted, and where whole ones begin again: None if nowhere."""

    damage: Damage
    after: Position | None


class LogLines:
    """Yields the lines behind :attr:`position`, and each gap between them.

    Iterate again to go on from where it ended: a running daemon may have written more.
    """

    def __init__(self, layout: Layout, store: str, start: Position = START) -> None:
        self._layout = layout
        self._store = store
        self.position = start
        self.lines = 0

    def __iter__(self) -> Iterator[Line | Gap]:
        """Yield up to the end of the log, or to a gap behind which nothing is whole."""
        while True:
            reader = LookupReader(self._layout, self._store, self.position)
            try:
                for line in reader:
                    self.position = line.position
                    self.lines += 1
                    yield line
                damage = reader.damage
                if damage is None:
                    return
            except LookupLogDamageError:
                damage = self._unreadable()
                if damage is None:
                    continue  # it was compressed just then, and can be read now
            after = _resume(self._layout, damage)
            yield Gap(damage, after)
            if after is None:
                return
            self.position = after

    def _unreadable(self) -> Damage | None:
        for number in (self.position.segment, self.position.segment + 1):
            if number in segment_numbers(self._layout):
                try:
                    open_segment(self._layout, number).close()
                except LookupLogDamageError as error:
                    return Damage(segment_path(self._layout, number), 0, str(error))
        return None


def store_of(layout: Layout) -> str:
    """Return the id of the store, as its log has it (raises LookupLogDamageError)."""
    for number in segment_numbers(layout):
        with open_segment(layout, number) as lines:
            try:
                record = records.decode(lines.readline(LINE))
            except (zstandard.ZstdError, *records.UNREADABLE, OSError):
                continue
            if isinstance(record, records.Segment):
                return record.store
    raise LookupLogDamageError(f"{layout.lookups} has no segment that can be read")


def segment_of(damage: Damage) -> int:
    """Return the number of the segment that a damage is in."""
    return int(os.path.basename(damage.path).split(".")[0])


def _resume(layout: Layout, damage: Damage) -> Position | None:
    """Return the first place behind a damage from which a line is whole again.

    A line vouches for the one before it, so that it takes two lines to be sure within a segment;
    the first line of a segment says itself what it follows.
    """
    number = segment_of(damage)
    if damage.offset == 0 and damage.what.endswith("is missing"):
        found = _start(layout, number) or _search(layout, number, 0)
    else:
        found = _search(layout, number, damage.offset)
    if found is not None:
        return found
    for later in segment_numbers(layout):
        if later > number:
            found = _start(layout, later) or _search(layout, later, 0)
            if found is not None:
                return found
    return None


def _start(layout: Layout, number: int) -> Position | None:
    try:
        return segment_start(layout, number)
    except LookupLogDamageError:
        return None


def _search(layout: Layout, number: int, offset: int) -> Position | None:
    claimed: Position | None = None
    try:
        with open_segment(layout, number) as lines:
            lines.seek(offset)
            while line := lines.readline(LINE):
                tail = _SUM.search(line)
                if tail and claimed and crc32(line[: tail.start()], claimed.chain) == int(tail[1]):
                    return claimed
                offset += len(line)
                seq = _SEQ.search(line)
                claimed = None
                if tail and seq:
                    claimed = Position(number, offset, int(seq[1]), int(tail[1]))
    except (LookupLogDamageError, zstandard.ZstdError, OSError):
        pass
    return None
