"""Reading content: from extents to bytes, each checked against its checksum."""

from __future__ import annotations

from djafs.disk.archive_reader import Archives
from djafs.disk.hot_log import HotReader
from djafs.errors import ArchiveDamageError
from djafs.extents import (
    PART,
    ArchivedPiece,
    Extent,
    HolePiece,
    HotPiece,
    Piece,
    window,
)
from djafs.model import Inode
from djafs.store.tree import PARTS, Tree, parts_of


class ContentReader:
    """Resolves ranges of files to pieces, under the store's guard, and reads those without it."""

    def __init__(self, tree: Tree, hot: HotReader, archives: Archives) -> None:
        self._tree = tree
        self.hot = hot
        self.archives = archives

    def pieces(self, inode: Inode, offset: int, size: int) -> list[Piece]:
        """Return the pieces of a range of a live file, cut at its end; together they fill it."""
        size = min(size, inode.size - offset)
        if size <= 0:
            return []
        if offset + size <= PART:
            return self.locate(inode.extents, offset, size)
        found: list[Piece] = []
        for number, begin, length in parts_of(offset, size):
            if number == 0:
                found += self.locate(inode.extents, begin, length)
            else:
                part = self._tree.part(inode.ino, number)
                found += self.locate(part.extents if part else [], begin, length)
        return found

    def seek(self, inode: Inode, offset: int, *, data: bool) -> int | None:
        """Return the first byte from ``offset`` on that is data, or that is in a hole.

        The end of the file counts as a hole; None when no data follows.
        """
        numbers = [0, *self._tree.part_numbers(inode.ino)] if inode.size > PART else [0]
        at = offset
        for number in numbers:
            begin = number * PART
            if begin + PART <= at:
                continue
            if at < begin and not data:
                return at
            part = self._tree.part(inode.ino, number) if number else None
            extents = inode.extents if number == 0 else part.extents if part else []
            for extent in window(extents, max(at - begin, 0), PART):
                start = begin + extent.offset
                if data:
                    return start
                if start > at:
                    return at
                at = start + extent.length
            if not data and at < begin + PART:
                return min(at, inode.size)
        return None if data else min(at, inode.size)

    def stored(self, inode: Inode) -> int:
        """Return the bytes of a file that are no hole.

        Parts count in full where there are very many: stat(2) has to be answered at once.
        """
        stored = sum(extent.length for extent in inode.extents)
        numbers = self._tree.part_numbers(inode.ino) if inode.size > PART else []
        if len(numbers) > PARTS:
            return min(stored + len(numbers) * PART, inode.size)
        for number in numbers:
            part = self._tree.part(inode.ino, number)
            stored += sum(extent.length for extent in part.extents) if part else 0
        return stored

    def locate(self, extents: list[Extent], begin: int, length: int) -> list[Piece]:
        """Return the pieces of a range of one part (raises ArchiveDamageError)."""
        found: list[Piece] = []
        at, end = begin, begin + length
        for extent in window(extents, begin, end):
            if extent.offset > at:
                found.append(HolePiece(extent.offset - at))
            found.append(self._piece(extent))
            at = extent.offset + extent.length
        if at < end:
            found.append(HolePiece(end - at))
        return found

    def _piece(self, extent: Extent) -> Piece:
        _, length, segment, at, base, span, crcs = extent
        if segment:
            return HotPiece(length, segment, at, base, span, crcs)
        content = self._tree.content(base)
        if content is None:
            raise ArchiveDamageError(f"content {base} is in no archive; run djafs validate -v")
        return ArchivedPiece(length, content.archive, content.at + at)

    def read_now(self, pieces: list[Piece], *, inflate: bool = False) -> bytes | None:
        """Return the bytes of ``pieces`` if no archive has to be read for them, else None.

        ``inflate``: nor if one has, but the kernel has that in memory.
        """
        found = []
        for piece in pieces:
            if isinstance(piece, HotPiece):
                _, segment, at, base, span, crcs = piece
                found.append(self.hot.read(segment, at, piece.length, base, span, crcs))
            elif isinstance(piece, ArchivedPiece):
                data = self.archives.cached(piece.archive, piece.at, piece.length, inflate=inflate)
                if data is None:
                    return None
                found.append(data)
            else:
                found.append(bytes(piece.length))
        return found[0] if len(found) == 1 else b"".join(found)

    def read(self, pieces: list[Piece]) -> bytes:
        """Return the bytes of ``pieces``, reading the disk as need be (raises DamageError)."""
        found = []
        for piece in pieces:
            if isinstance(piece, ArchivedPiece):
                found.append(self.archives.read(piece.archive, piece.at, piece.length))
            else:
                found.append(self.read_now([piece]) or b"")
        return b"".join(found)
