"""A store without a mount, whose clock is moved by hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from djafs.disk import sqlite
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.packing.compaction import Limits
from djafs.store.collector import Collected, Collector
from djafs.store.parity_keeper import Kept, ParityKeeper
from djafs.store.store import Store
from rig.near_packer import NearPacker

SECOND = 10**9
DAY = 86400 * SECOND
NOON = 1_789_905_600 * SECOND  # 2026-09-20 12:00:00 UTC
ROOT = 2
TABLES = (
    "inode", "dentry", "part", "version", "past_part", "binding", "since", "day", "content",
    "archive",
)  # fmt: skip


class CopyingHost(Host):
    """Copies the store before each step, while :attr:`target` is set: what a crash there leaves."""

    def __init__(self) -> None:
        self.target: Path | None = None
        self.root: Path | None = None
        self.steps: list[str] = []
        self.fail: str | None = None  # the label of a step that fails

    def _step(self, label: str) -> None:
        if label == self.fail:
            raise OSError(5, f"no {label}")
        if self.target is None:
            return
        assert self.root is not None
        copy = self.target / f"{len(self.steps):03}-{label}"
        shutil.copytree(self.root, copy)
        self.steps.append(label)

    def open(self, path: str, flags: int, label: str, mode: int = 0o600) -> int:
        self._step(label)
        return super().open(path, flags, label, mode)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        self._step(label)
        super().pwrite(descriptor, data, offset, label)

    def sync(self, descriptor: int, label: str) -> None:
        self._step(label)

    def both(self, one: Callable[[], None], other: Callable[[], None]) -> None:
        one()
        other()

    def sync_directory(self, path: str, label: str) -> None:
        self._step(label)

    def rename(self, source: str, target: str, label: str) -> None:
        self._step(label)
        super().rename(source, target, label)

    def link(self, source: str, target: str, label: str) -> None:
        self._step(label)
        super().link(source, target, label)

    def unlink(self, path: str, label: str) -> None:
        self._step(label)
        super().unlink(path, label)


class SmallStore:
    """A store at ``path``, open; each change happens a second after the one before."""

    def __init__(self, path: Path, host: Host | None = None, now: int = NOON) -> None:
        self.path = path
        self.layout = Layout(os.fspath(path))
        self.host = host or Host()
        self.now = now
        self.open()

    def clock(self) -> int:
        self.now += SECOND
        return self.now

    def open(self, *, parity: int | None = None) -> None:
        self.store = Store.open(
            os.fspath(self.path), create=True, host=self.host, clock=self.clock, parity=parity
        )

    def close(self) -> None:
        self.store.close()

    def reopen(self, *, without_index: bool = False) -> None:
        self.close()
        if without_index:
            os.unlink(self.layout.index)
        self.open()

    # Changing

    def file(self, name: bytes, content: bytes, parent: int = ROOT, mode: int = 0o640) -> int:
        with self.store.guard:
            ino = self.store.create(parent, name, 0o100000 | mode, 7, 8).ino
            if content:
                self.store.write(ino, 0, content)
        return ino

    def write(self, ino: int, content: bytes) -> None:
        with self.store.guard:
            self.store.setattr(ino, size=0)
            self.store.write(ino, 0, content)

    def unlink(self, name: bytes, parent: int = ROOT) -> None:
        with self.store.guard:
            dentry = self.store.dentry(parent, name)
            assert dentry is not None
            self.store.unlink(parent, name)
            self.store.free(dentry.ino)

    def protect(self) -> Kept:
        keeper = ParityKeeper(self.store, NearPacker(self.layout, self.host))
        try:
            return keeper.keep()
        finally:
            keeper.close()

    def with_collector(
        self,
        act: Callable[[Collector], Collected],
        limits: Limits | None = None,
        survey: int = 1 << 40,
    ) -> Collected:
        packer = NearPacker(self.layout, self.host)
        collector = Collector(self.store, packer, 1, limits, survey)
        try:
            return act(collector)
        finally:
            collector.close()

    def collect(self, limits: Limits | None = None, survey: int = 1 << 40) -> Collected:
        return self.with_collector(lambda collector: collector.collect(0), limits, survey)

    def compact(self, limits: Limits | None = None) -> Collected:
        return self.with_collector(lambda collector: collector.compact(), limits)

    # Looking

    def archives(self) -> list[str]:
        return sorted(n for n in os.listdir(self.layout.archives) if n.endswith(".zst"))

    def live(self) -> dict[bytes, bytes]:
        """Return the content of every file in the root."""
        store = self.store
        with store.guard:
            entries = store.tree.entries(ROOT, 0, 10_000, plus=True)
        return {
            entry.name: store.reads.live(entry.ino, 0, entry.inode.size)
            for entry in entries
            if entry.inode is not None and entry.inode.is_regular
        }

    def past(self) -> dict[tuple[int, bytes], bytes]:
        """Return the content of every file in the root at the end of every day with a change."""
        store, found = self.store, {}
        store.syncer.flush()
        for day in store.snapshots.days():
            for entry in store.snapshots.entries(ROOT, None, 10_000, day):
                if entry.inode.is_regular:
                    state = entry.inode
                    found[day, entry.name] = store.reads.past(state, 0, state.size)
        return found

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        """Return all rows of the index."""
        self.store.syncer.flush()
        return tables_of(self.layout)


def tables_of(layout: Layout) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of an index but those of its state."""
    index = Index.open_read_only(layout)
    try:
        return rows_of(index.connection)
    finally:
        index.close()


def rows_of(db: sqlite.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows, but for inodes that only an open file keeps: that is not logged."""
    found = {
        table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES
    }
    found["inode"] = [row for row in found["inode"] if row[1]]
    return found
