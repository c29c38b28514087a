"""Every hot extent that anything in the index needs, against its checksums."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from zlib import crc32

import msgspec

from djafs.disk import rows
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.extents import CHUNK, Extent
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.extent_rules import extents_problem
from djafs.tools.validation.findings import Kind, Meter, unmeasured
from djafs.tools.validation.workspace import Workspace

HOT_ROWS = (
    "SELECT h.extents FROM hot h JOIN inode i USING (ino) WHERE nlink != 0",
    "SELECT p.extents FROM part p JOIN inode i USING (ino) WHERE p.hot IS NOT NULL AND nlink != 0",
    "SELECT extents FROM version WHERE hot IS NOT NULL",
    "SELECT extents FROM past_part WHERE hot IS NOT NULL",
)
"""Everything that may need hot content. Inodes without a name are left out: the daemon lets them go
without logging it."""

_CHUNKS = "SELECT start, length, crc FROM chunk WHERE segment = ? ORDER BY start"


class HotCheck:
    """Reads each hot segment once, in order, where something needs it.

    Versions share extents, so the chunks are collected first: in the workspace, each once.
    Those that are damaged go to table ``bad_chunk``.
    """

    def __init__(
        self, index: Index, layout: Layout, workspace: Workspace, meter: Meter = unmeasured
    ) -> None:
        self._meter = meter
        self._index = index
        self._layout = layout
        self._workspace = workspace
        self._scratch = workspace.scratch
        self.segments = 0
        self.bytes = 0

    def run(self) -> Iterator[Suspect]:
        """Yield what is wrong, segment by segment."""
        self._collect()
        segments = self._scratch.execute("SELECT DISTINCT segment FROM chunk").fetchall()
        for (segment,) in segments:
            self._meter("segments of the hot cache", self.segments, len(segments), False)
            self.segments += 1
            suspect = self._check(segment)
            if suspect.count:
                yield suspect

    def _collect(self) -> None:
        self._scratch.execute("BEGIN")
        for query in HOT_ROWS:
            for (stored,) in self._index.connection.execute(query):
                self._scratch.executemany(
                    "INSERT OR IGNORE INTO chunk VALUES (?, ?, ?, ?)", _chunks(stored)
                )
        self._scratch.execute("COMMIT")

    def _check(self, segment: int) -> Suspect:
        path = self._layout.hot_segment(segment)
        where = os.path.relpath(path, self._layout.root)
        suspect = Suspect(
            Kind.HOT, where, self._workspace.affected(), segment=segment, noun="damaged runs"
        )
        chunks = self._scratch.execute(_CHUNKS, (segment,)).fetchall()
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            missing = error.errno == errno.ENOENT
            suspect.add("it is missing" if missing else f"it cannot be read: {error.strerror}")
            self._spoil(suspect, [chunk[:2] for chunk in chunks])
            return suspect
        try:
            for start, length, crc in chunks:
                if (problem := _problem(descriptor, start, length, crc)) is not None:
                    suspect.add(problem)
                    self._spoil(suspect, [(start, length)])
                self.bytes += length
        finally:
            os.close(descriptor)
        return suspect

    def _spoil(self, suspect: Suspect, chunks: list[tuple[int, int]]) -> None:
        self._scratch.executemany(
            "INSERT OR IGNORE INTO bad_chunk VALUES (?, ?, ?, ?)",
            [(suspect.segment, *chunk, suspect.affected.number) for chunk in chunks],
        )


def _chunks(stored: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (segment, start, length, crc) of each chunk that some stored extents need.

    Extents that are malformed are found when references are read.
    """
    try:
        extents = rows.unpack_extents(stored)
    except msgspec.MsgspecError:
        return
    if extents_problem(extents) is not None:
        return
    for extent in extents:
        if extent.segment > 0:
            yield from _chunks_of(extent)


def _chunks_of(extent: Extent) -> Iterator[tuple[int, int, int, int]]:
    _, length, segment, at, base, span, crcs = extent
    first = max(at - base, 0) // CHUNK
    last = min((at + length - 1 - base) // CHUNK, len(crcs) // 4 - 1)
    for number in range(first, last + 1):
        size = min(CHUNK, span - number * CHUNK)
        crc = int.from_bytes(crcs[number * 4 : number * 4 + 4], "little")
        if size > 0:
            yield segment, base + number * CHUNK, size, crc


def _problem(descriptor: int, start: int, length: int, crc: int) -> str | None:
    try:
        found = os.pread(descriptor, length, start)
    except OSError as error:
        return f"bytes {start} to {start + length} cannot be read: {error.strerror}"
    if len(found) < length:
        return f"it is cut off at byte {start + len(found)}"
    if crc32(found) != crc:
        return f"bytes {start} to {start + length} fail their checksum"
    return None
