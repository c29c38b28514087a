"""A store with a hot log, and items in it."""

import os
from pathlib import Path

import pytest

from djafs.disk.host import Host
from djafs.disk.hot_log import HotLog, checksums, pack_checksums
from djafs.disk.layout import Layout
from djafs.extents import HotPiece
from djafs.packing.plan import PackItem

MTIME = 1_700_000_000_123_456_789


class SmallStore:
    """The directories of a store, and what it takes to make items."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(str(root))
        for directory in (self.layout.hot, self.layout.archives, self.layout.lookups):
            os.mkdir(directory)
        self._hot = HotLog(Host(), self.layout)

    def hot_piece(self, content: bytes) -> HotPiece:
        segment, at = self._hot.append(content)
        return HotPiece(
            len(content), segment, at, at, len(content), pack_checksums(checksums(content))
        )

    def item(self, key: int, content: bytes, name: bytes | None = None) -> PackItem:
        pieces = [self.hot_piece(content)] if content else []
        return PackItem(key, name or b"doc/%05d.json" % key, MTIME, 0o640, 7, 8, pieces)

    def damage(self, piece: HotPiece) -> None:
        with open(self.layout.hot_segment(piece.segment), "r+b") as file:
            file.seek(piece.at)
            byte = file.read(1)
            file.seek(piece.at)
            file.write(bytes([byte[0] ^ 1]))

    def archive_names(self) -> list[str]:
        return sorted(os.listdir(self.layout.archives))

    def close(self) -> None:
        self._hot.close()


@pytest.fixture
def store(tmp_path: Path):
    store = SmallStore(tmp_path)
    yield store
    store.close()
