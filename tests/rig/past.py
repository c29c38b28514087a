"""A store and the reference beside it, under one clock."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

from djafs.disk.host import Host
from djafs.model import Inode
from djafs.store.collector import Collector
from djafs.store.snapshots import Place
from djafs.store.store import Store
from rig.near_packer import NearPacker
from rig.reference import MINUTE, ROOT, Reference, Shown

SECOND = 10**9
HOUR = 60 * MINUTE
NAMES = (b"a", b"b", b"c", b"\xff tmp")
TYPES = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}


class HastyHost(Host):
    """Syncs nothing: no power is cut here."""

    def sync(self, descriptor: int, label: str) -> None:
        pass

    def write_out(self, descriptor: int, label: str) -> None:
        pass

    def sync_directory(self, path: str, label: str) -> None:
        pass


class Past:
    """A store and the reference beside it, under one clock."""

    def __init__(self, root: str, zone: str, start: datetime) -> None:
        self.root = root
        self.now = int(start.replace(tzinfo=_zone(zone)).timestamp()) * SECOND
        self.zone = zone
        self.store = self._open()
        self.reference = Reference(_zone(zone), self.now)
        self.first = self.reference.day(self.now)

    def _open(self) -> Store:
        store = Store.open(
            self.root, create=True, time_zone=self.zone, clock=lambda: self.now, host=HastyHost()
        )
        self._closed = False
        return store

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.store.close()

    # Operations, on both

    def create(self, parent: int, name: bytes, kind: str = "file", content: bytes = b"") -> int:
        with self.store.guard:
            mode = {"file": 0o100644, "directory": 0o040755, "symlink": 0o120777}[kind]
            target = content if kind == "symlink" else None
            ino = self.store.create(parent, name, mode, 0, 0, target=target).ino
        self.reference.create(ino, parent, name, kind, mode & 0o7777, self.now, content)
        return ino

    def write(self, ino: int, content: bytes) -> None:
        """Replace the content of a file."""
        with self.store.guard:
            if content:
                self.store.write(ino, 0, content)
            self.store.setattr(ino, size=len(content), mtime=self.now, now=self.now)
        self.reference.write(ino, content, self.now)

    def utimens(self, ino: int, mtime: int) -> None:
        with self.store.guard:
            self.store.setattr(ino, mtime=mtime)
        self.reference.utimens(ino, mtime, self.now)

    def set_mode(self, ino: int, mode: int, uid: int) -> None:
        with self.store.guard:
            inode = self.store.inode(ino)
            assert inode is not None
            self.store.setattr(ino, mode=inode.mode & ~0o7777 | mode, uid=uid)
        self.reference.set_mode(ino, mode, uid, self.now)

    def set_xattr(self, ino: int, value: bytes) -> None:
        with self.store.guard:
            self.store.set_xattr(ino, b"user.x", value)
        self.reference.set_xattr(ino, value, self.now)

    def link(self, ino: int, parent: int, name: bytes) -> None:
        with self.store.guard:
            self.store.link(ino, parent, name)
        self.reference.link(ino, parent, name, self.now)

    def unlink(self, parent: int, name: bytes) -> None:
        with self.store.guard:
            if self.reference.kind(self.reference.live[parent][name]) == "directory":
                self.store.rmdir(parent, name)
            else:
                self.store.unlink(parent, name)
        self.reference.unlink(parent, name, self.now)

    def rename(self, parent: int, name: bytes, heir: int, target: bytes) -> None:
        with self.store.guard:
            self.store.rename(parent, name, heir, target)
        self.reference.rename(parent, name, heir, target, self.now)

    def exchange(self, parent: int, name: bytes, heir: int, target: bytes) -> None:
        with self.store.guard:
            self.store.rename(parent, name, heir, target, exchange=True)
        self.reference.exchange(parent, name, heir, target, self.now)

    # Storing it otherwise

    def flush(self) -> None:
        self.store.syncer.flush()

    def pack(self) -> None:
        collector = Collector(
            self.store, NearPacker(self.store.layout, host=self.store.host), level=1
        )
        try:
            assert collector.collect(0).failed == 0
        finally:
            collector.close()

    def compact(self) -> None:
        """Give up all that no day shows. What was at rest by then stays as it is."""
        collector = Collector(
            self.store, NearPacker(self.store.layout, host=self.store.host), level=1
        )
        try:
            collector.compact()
        finally:
            collector.close()
        self.reference.closed = self.store.tree.closed

    def reopen(self, *, without_index: bool = False) -> None:
        self.store.close()
        if without_index:
            os.unlink(os.path.join(self.root, "index.sqlite"))
        self.store = self._open()

    # Looking

    def day(self, day: int, *, limit: int = 3) -> dict[bytes, Shown]:
        """Return everything that the snapshot of ``day`` shows."""
        found: dict[bytes, Shown] = {}
        waiting = [(ROOT, b"")]
        while waiting:
            directory, prefix = waiting.pop()
            for name, inode in self._list(directory, day, limit):
                assert prefix + name not in found, "listed twice"
                found[prefix + name] = self._shown(inode, day)
                if inode.is_directory:
                    waiting.append((inode.ino, prefix + name + b"/"))
        return found

    def _list(self, directory: int, day: int, limit: int) -> Iterator[tuple[bytes, Inode]]:
        snapshots = self.store.snapshots
        place: Place | None = None
        listed = set()
        while True:
            page = snapshots.entries(directory, place, limit, day)
            assert [
                (entry.place.cookie, entry.name, entry.inode.ino, stat.S_IFMT(entry.inode.mode))
                for entry in page
            ] == [
                (name.cookie, name.name, name.ino, stat.S_IFMT(name.mode))
                for name in snapshots.names(directory, place, limit, day)
            ]
            for entry in page:
                looked = snapshots.lookup(directory, entry.name, day)
                assert looked is not None
                assert (looked.ino, looked.version) == (entry.inode.ino, entry.inode.version)
                listed.add(entry.name)
                yield entry.name, entry.inode
            if len(page) < limit:
                break
            place = page[-1].place
        for name in {*NAMES, *self.reference.names[directory]} - listed:
            assert snapshots.lookup(directory, name, day) is None

    def _shown(self, inode: Inode, day: int) -> Shown:
        kind = TYPES[stat.S_IFMT(inode.mode)]
        content = b""
        if kind == "file" and inode.size:
            content = self.store.reads.past(inode, 0, inode.size)
        elif kind == "symlink":
            content = inode.target or b""
        return Shown(kind, inode.mode & 0o7777, inode.uid, inode.mtime, content, inode.xattrs or {})

    def check(self) -> None:
        """Compare every day, and the days between and around."""
        self.flush()
        days = {self.first, self.reference.day(self.now)}
        for versions in self.reference.versions.values():
            for version in versions:
                days.update((self.reference.day(version.effective()),
                             self.reference.day(version.last),
                             self.reference.day(version.shown.mtime)))  # fmt: skip
        for day in sorted({d + n for d in days for n in (-1, 0, 1)}):
            expected, shown = self.reference.shown(day), self.day(day)
            for path in set(shown) - set(expected):
                # A directory that a passing state made older does no harm while it is empty.
                below = [other for other in shown if other.startswith(path + b"/")]
                assert shown[path].kind == "directory", (date.fromordinal(day), path)
                if not set(below) & set(expected):
                    del shown[path]
            assert shown == expected, date.fromordinal(day)

    def check_always(self) -> None:
        """Compare every day, in every way in which history can be stored."""
        self.check()
        self.reopen(without_index=True)
        self.check()
        self.pack()
        self.check()
        self.compact()
        self.check()
        self.reopen(without_index=True)
        self.check()
        self.close()
        _validate(self.root)
        self.store = self._open()


def _zone(name: str) -> timezone | ZoneInfo:
    return timezone.utc if name == "UTC" else ZoneInfo(name)


def _validate(root: str) -> None:
    from djafs.tools.validate import validate

    lines: list[str] = []
    assert validate(root, verbose=False, report=lines.append) == 0, "\n".join(lines)


@contextmanager
def past_in(directory: str, zone: str = "UTC", start: str = "2024-03-30 12:00") -> Iterator[Past]:
    past = Past(os.path.join(directory, "store"), zone, datetime.fromisoformat(start))
    try:
        yield past
    finally:
        past.close()
