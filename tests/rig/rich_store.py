"""A store that has everything: each kind of record, file and history, over several days."""

from __future__ import annotations

import os
import random
from pathlib import Path

from djafs.extents import PART
from djafs.packing.compaction import Limits
from rig.near_keeper import NearKeeper
from rig.small_store import DAY, ROOT, SmallStore

BYTES = b"caf\xe9 \xff\xfe.json"
"""A name that is not UTF-8."""


class RichStore(SmallStore):
    """Lives for five days; what it then holds of each kind is said beside each step."""

    def live(self, large: bytes = b"") -> None:
        """Go through all days; ``large`` comes before the end of a file of two parts."""
        self.first_day(large)
        self.second_day()
        self.third_day()
        self.fourth_day()
        self.last_day()

    def directory(self, name: bytes, parent: int = ROOT) -> int:
        with self.store.guard:
            return self.store.create(parent, name, 0o40755, 7, 8).ino

    def number(self, name: bytes, parent: int = ROOT) -> int:
        with self.store.guard:
            dentry = self.store.dentry(parent, name)
        assert dentry is not None
        return dentry.ino

    def first_day(self, large: bytes) -> None:
        """Files of every type, and what they can have; some of it alike; one archive."""
        store, docs = self.store, self.directory(b"docs")
        inos = [self.file(b"%02d.json" % n, document(n), docs) for n in range(12)]
        self.file(b"same", document(3), docs)  # deduplicated
        self.file(BYTES, document(50), docs)
        self.file(b"noise", noise(1, 300_000))  # of several frames
        sparse = self.file(b"sparse", b"begin")
        parts = self.file(b"parts", b"")
        empty = self.directory(b"empty")
        with store.guard:
            for begin in range(0, len(large), 1 << 20):  # as the kernel writes
                store.write(parts, begin, large[begin : begin + (1 << 20)])
            store.write(sparse, 200_000, b"end")
            store.write(parts, PART + 10, b"in the second part" * 100)
            store.punch(inos[4], 10, 200, len(document(4)))
            store.clone(inos[1], 0, inos[5], 500, 300)
            store.link(inos[0], empty, b"hard")
            store.create(docs, b"symlink", 0o120777, 7, 8, target=b"../to \xff")
            store.create(docs, b"pipe", 0o10644, 7, 8)
            store.create(docs, b"device", 0o20600, 0, 0, rdev=0x501)
            store.set_xattr(inos[2], b"user.\xe9", b"\x00\xff value")
            store.set_xattr(inos[2], b"user.gone", b"gone")
            store.set_xattr(inos[2], b"user.gone", None)
            store.setattr(inos[6], mode=0o100600, mtime=self.now - 3 * DAY + 123456789)
            store.unlink(empty, b"hard")
            store.rename(ROOT, b"empty", docs, b"moved")
            store.link(inos[0], empty, b"hard")
        self.collect()

    def second_day(self) -> None:
        """Changes to what is archived, names that come and go; then a checkpoint."""
        self.now += DAY
        docs = self.number(b"docs")
        for n in range(6):
            self.write(self.number(b"%02d.json" % n, docs), document(n + 100))
        with self.store.guard:
            self.store.rename(docs, b"08.json", ROOT, b"renamed.json")
            self.store.rename(docs, b"09.json", docs, b"10.json", exchange=True)
            parts = self.store.dentry(ROOT, b"parts")
            assert parts is not None
            self.store.write(parts.ino, PART + 100, b"other bytes in the second part")
        self.unlink(b"11.json", docs)
        self.directory(b"short")
        with self.store.guard:
            self.store.rmdir(ROOT, b"short")
        self.collect()
        NearKeeper(self.store).checkpoint()

    def third_day(self) -> None:
        """What nobody will see again, and archives that are merged: forget, move, drop, sweep."""
        self.now += DAY
        for n in range(8):
            self.file(b"brief-%d" % n, noise(n + 10, 20_000))
        self.collect()
        for n in range(8):
            self.unlink(b"brief-%d" % n)
        self.now += DAY // 24
        self.file(b"stays", document(60))
        self.collect()
        self.compact(Limits(fan=2))

    def fourth_day(self) -> None:
        """A segment of the log that is closed, behind the checkpoint."""
        self.now += DAY
        docs = self.number(b"docs")
        for n in range(3):
            self.write(self.number(b"%02d.json" % n, docs), document(n + 200))
        self.file(b"fourth", noise(2, 5000))
        self.collect()
        NearKeeper(self.store).close_log()

    def last_day(self) -> None:
        """Content that is still hot, in several chunks; a segment of the log that is open."""
        self.now += DAY
        self.file(b"hot", noise(3, 200_000))
        self.file(b"hot small", document(70))
        docs = self.number(b"docs")
        self.write(self.number(b"07.json", docs), document(300))
        self.store.syncer.flush()


def document(number: int) -> bytes:
    """Return a document that compresses well."""
    return b'{"station": "s%d", "values": [%s]}\n' % (
        number,
        b",".join(b"%d" % (number * n) for n in range(200)),
    )


def noise(seed: int, size: int) -> bytes:
    """Return bytes that look like nothing else, though they compress."""
    block = random.Random(seed).randbytes(997)
    return (block * (size // 997 + 1))[:size]


def make(path: Path, large: bytes = b"") -> None:
    """Make such a store, and close it."""
    store = RichStore(path)
    store.live(large)
    store.close()
    assert os.listdir(path / "hot")
