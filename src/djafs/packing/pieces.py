"""Reading the content of an item, wherever it lies, with every checksum verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from djafs.disk.archive_reader import Archives
from djafs.disk.frame_cache import FrameCache
from djafs.disk.hot_log import HotReader
from djafs.disk.layout import Layout
from djafs.extents import CHUNK, ArchivedPiece, HotPiece, Piece

STEP = 16 * CHUNK
"""Bytes read at a time, at most: whole checksummed chunks, so that none is read twice."""

_ZEROS = bytes(STEP)
_FRAME_CACHE = 10 << 20  # bytes; compaction reads each archive in order: a frame of each is enough
_OPEN_ARCHIVES = 32


class PieceReader:
    """Reads pieces from a store. For one thread."""

    def __init__(self, layout: Layout) -> None:
        self._hot = HotReader(layout)
        self._archives = Archives(layout, FrameCache(_FRAME_CACHE), _OPEN_ARCHIVES)

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[bytes]:
        """Yield the content of ``pieces``, in chunks of at most :data:`STEP` bytes.

        Raises HotLogDamageError or ArchiveDamageError where the bytes are not those that were
        written.
        """
        for piece in pieces:
            if isinstance(piece, HotPiece):
                yield from self._hot_chunks(piece)
            elif isinstance(piece, ArchivedPiece):
                for start in range(0, piece.length, STEP):
                    length = min(STEP, piece.length - start)
                    yield self._archives.read(piece.archive, piece.at + start, length)
            else:
                for start in range(0, piece.length, STEP):
                    yield _ZEROS[: min(STEP, piece.length - start)]

    def _hot_chunks(self, piece: HotPiece) -> Iterator[bytes]:
        length, segment, at, base, span, crcs = piece
        end = at + length
        while at < end:
            stop = min(end, at + STEP - (at - base) % CHUNK)
            yield self._hot.read(segment, at, stop - at, base, span, crcs)
            at = stop

    def close(self) -> None:
        """Close what was opened."""
        self._hot.close()
        self._archives.close()
