"""A store with two days of history, and what validate says of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from djafs.disk import sqlite, states
from djafs.disk.content_writer import update_contents
from djafs.disk.index import Index
from djafs.disk.inode_writer import put_inodes
from djafs.disk.layout import Layout
from djafs.store.collector import Collector
from djafs.store.store import Store
from djafs.tools.validate import check_store, validate
from djafs.tools.validation.findings import Finding, Kind
from rig.near_packer import NearPacker

SECOND = 10**9
NOON = 1_789_905_600 * SECOND  # 2026-09-20 12:00:00 UTC
DAY = 86400 * SECOND


class World:
    """A store whose clock is moved by hand.

    2026-09-20: ``a/b.json`` and ``c.json`` are written, and packed. 2026-09-21: ``a/b.json`` is
    written anew, and ``hot.json`` is written; both stay in the hot cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout(os.fspath(path))
        self.now = NOON
        self.open()
        self.directory = self.store.create(2, b"a", 0o40755, 1, 1).ino
        self.b = self.file(self.directory, b"b.json", b"first" * 1000)
        self.c = self.file(2, b"c.json", b"c" * 5000)
        self.collect()
        self.now += DAY
        self.write(self.b, b"second" * 1000)
        self.hot = self.file(2, b"hot.json", b"hot" * 50_000)
        self.store.syncer.flush()

    def open(self) -> None:
        self.store = Store.open(os.fspath(self.path), create=True, clock=self.clock)

    def clock(self) -> int:
        self.now += SECOND
        return self.now

    def file(self, parent: int, name: bytes, content: bytes) -> int:
        ino = self.store.create(parent, name, 0o100644, 1, 1).ino
        self.store.write(ino, 0, content)
        return ino

    def write(self, ino: int, content: bytes) -> None:
        self.store.setattr(ino, size=0)
        self.store.write(ino, 0, content)

    def collect(self) -> None:
        collector = Collector(self.store, NearPacker(self.layout), 1)
        collector.collect(0)
        collector.close()

    def close(self) -> None:
        self.store.close()

    def findings(self) -> list[Finding]:
        found: list[Finding] = []

        def keep(finding: Finding) -> None:
            affected = list(finding.affected)  # the workspace is gone later
            found.append(Finding(finding.kind, finding.where, finding.what, affected,
                                 finding.details))  # fmt: skip

        check_store(self.layout, keep, lambda line: None)
        return found

    def only(self, kind: Kind) -> Finding:
        """The one finding, of this kind."""
        found = self.findings()
        assert [finding.kind for finding in found] == [kind], found
        return found[0]


def lines_of(path: Path) -> tuple[int, list[str]]:
    lines: list[str] = []
    return validate(os.fspath(path), verbose=False, report=lines.append), lines


def flip(path: str, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def sql(world: World, change: str | Callable[[sqlite.Connection], None]) -> None:
    """Change the index behind the store's back: a statement, or what does it."""
    db = sqlite.connect(world.layout.index)
    if callable(change):
        change(db)
    else:
        db.execute(change)
    assert db.changes() > 0
    db.close()


def set_inode(ino: int, **values: int) -> Callable[[sqlite.Connection], None]:
    """Return what sets attributes of an inode in an index."""

    def change(db: sqlite.Connection) -> None:
        query = f"SELECT {states.INODE} FROM inode i WHERE ino = ?"
        inode = states.inode_of(db.execute(query, (ino,)).fetchone())
        for name, value in values.items():
            assert getattr(inode, name) != value
            setattr(inode, name, value)
        put_inodes(db, [inode])

    return change


def set_content(cid: int, **values: int) -> Callable[[sqlite.Connection], None]:
    """Return what sets fields of a content in an index."""

    def change(db: sqlite.Connection) -> None:
        found = Index(db).content(cid)
        assert found is not None
        update_contents(db, {cid: found._replace(**values)})

    return change


OLD_B, LIVE_B = "snapshots/2026/09/20/a/b.json", "live/a/b.json"
