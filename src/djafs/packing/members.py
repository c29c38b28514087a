"""Archived contents on their way into another archive: with the names that they have there."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from djafs.disk import tar
from djafs.disk.archive_reader import Archives
from djafs.disk.index import Index
from djafs.errors import ArchiveDamageError
from djafs.extents import ArchivedPiece
from djafs.packing.plan import PackItem


class Held(NamedTuple):
    """A content of an archive."""

    cid: int
    at: int
    size: int
    digest: bytes


def held_in(index: Index, archive: int) -> list[Held]:
    """Return the contents of an archive, in the order of its tar."""
    found = index.contents_of(archive)
    return [Held(cid, content.at, content.size, content.digest) for cid, content in found]


Source = tuple[int, list[Held]]
"""An archive, and all contents that the log knows in it, in the order of its tar."""


def moving_items(
    archives: Archives, sources: Iterable[Source], wanted: Callable[[int], bool]
) -> Iterator[PackItem]:
    """Yield the wanted contents of some archives ordered by name; keys are content numbers."""
    streams = [_items(archives, archive, held, wanted) for archive, held in sources]
    return heapq.merge(*streams, key=lambda item: item.name)


def _items(
    archives: Archives, archive: int, contents: list[Held], wanted: Callable[[int], bool]
) -> Iterator[PackItem]:
    end = 0  # of the content before, in the tar
    for cid, at, size, _ in contents:
        if wanted(cid):
            entry = _entry(archives, archive, end, at)
            if entry is None:  # its header is damaged; the content may not be
                entry = tar.Entry(b".djafs/content/%d" % cid, size, 0, 0o600, 0, 0)
            piece = ArchivedPiece(size, archive, at)
            yield PackItem(
                cid, entry.name, entry.mtime_ns, entry.mode, entry.uid, entry.gid, [piece]
            )
        end = max(end, at + tar.padded(size))


def _entry(archives: Archives, archive: int, begin: int, at: int) -> tar.Entry | None:
    """Return the entry of the content at ``at``; its header is somewhere behind ``begin``."""
    pax: dict[bytes, bytes] = {}
    try:
        while begin < at:
            block = archives.read(archive, begin, tar.BLOCK)
            head = tar.parse(block)
            begin += tar.BLOCK
            if head is None:
                return None
            if head.type == tar.PAX and head.size <= at - begin:
                pax = tar.parse_pax(archives.read(archive, begin, head.size))
            elif begin == at:
                return tar.parse_entry(block, pax)
            else:  # a content that the log does not know
                pax = {}
            begin += tar.padded(head.size)
    except (ArchiveDamageError, tar.TarFormatError):
        pass
    return None
