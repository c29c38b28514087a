"""The bytes of a file as a view shows it: every one of them checked."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from djafs.disk.archive_reader import Archives
from djafs.disk.frame_cache import FrameCache
from djafs.disk.hot_log import HotReader
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError, DamageError
from djafs.extents import PART, Extent
from djafs.model import Inode
from djafs.store.snapshots import Snapshots

STEP = 1 << 20
_FRAMES = 32 << 20


class Contents:
    """Reads files of a store, from archives and hot log."""

    snapshots: Snapshots

    def __init__(self, layout: Layout, index: Index) -> None:
        self._index = index
        self._hot = HotReader(layout)
        self._archives = Archives(layout, FrameCache(_FRAMES))

    def close(self) -> None:
        """Close every file."""
        self._archives.close()
        self._hot.close()

    def part(self, state: Inode, number: int) -> list[tuple[int, bytes]]:
        """Return the data of one part: (offset in the file, bytes), without its holes.

        Raises DamageError when what the store holds is not what was written.
        """
        while True:
            extents = self.snapshots.extents(state, number)
            try:
                return self._read(state, number, extents)
            except DamageError:
                # Packing may have moved the content, and removed what it lay in.
                state = self.snapshots.version(state) or state
                if self.snapshots.extents(state, number) == extents:
                    raise

    def _read(self, state: Inode, number: int, extents: list[Extent]) -> list[tuple[int, bytes]]:
        found = []
        begin = number * PART
        for extent in extents:
            length = min(extent.length, state.size - begin - extent.offset)
            if length > 0:
                data = self._bytes(extent)
                found.append((begin + extent.offset, data[:length]))
        return found

    def _bytes(self, extent: Extent) -> bytes:
        _, length, segment, at, base, span, crcs = extent
        if segment:
            return self._hot.read(segment, at, length, base, span, crcs)
        content = self._index.content(base)
        if content is None:
            raise ArchiveDamageError(f"content {base} is in no archive; run djafs validate -v")
        data = self._archives.read(content.archive, content.at + at, length)
        if length == content.size and sha256(data).digest() != content.digest:
            raise ArchiveDamageError(
                f"archive {content.archive} has another content at {content.at} than was "
                "written there; run djafs validate -v"
            )
        return data

    def digest(self, state: Inode) -> bytes | None:
        """Return the SHA-256 of a file where the index has it: of a file that is one content."""
        if len(state.extents) != 1 or state.size > PART:
            return None
        offset, length, segment, at, base = state.extents[0][:5]
        content = None if segment else self._index.content(base)
        if content is None or (offset, length, at, content.size) != (0, state.size, 0, state.size):
            return None
        return content.digest

    def parts(self, state: Inode) -> range:
        """Return the numbers of a file's parts."""
        return range(-(-state.size // PART))

    def whole(self, state: Inode, number: int) -> bytes:
        """Return the bytes of one part, holes as zeros."""
        begin = number * PART
        size = min(PART, state.size - begin)
        pieces = self.part(state, number)
        if len(pieces) == 1 and pieces[0][0] == begin and len(pieces[0][1]) == size:
            return pieces[0][1]
        buffer = bytearray(size)
        for offset, data in pieces:
            buffer[offset - begin : offset - begin + len(data)] = data
        return bytes(buffer)

    def check(self, state: Inode) -> None:
        """Read a file from end to end (raises DamageError)."""
        for number in self.parts(state):
            self.part(state, number)

    def chunks(self, state: Inode) -> Iterator[bytes]:
        """Yield the bytes of a file, part by part."""
        for number in self.parts(state):
            yield self.whole(state, number)
