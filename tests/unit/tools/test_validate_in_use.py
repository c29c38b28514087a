"""djafs validate while a daemon goes on: nothing that is merely on its way is an error."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.disk import records
from djafs.model import LIVE_ROOT, Inode
from djafs.store.collector import Collector
from djafs.store.store import Store
from djafs.tools.validate import validate
from djafs.tools.validation import log_check
from djafs.tools.validation.archives import ArchiveCheck
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.log_check import LogCheck
from rig.near_packer import NearPacker

SECOND = 10**9


def collect(store: Store) -> None:
    collector = Collector(store, NearPacker(store.layout), 1)
    collector.collect(0)
    collector.close()


def checked(path: Path) -> list[str]:
    lines: list[str] = []
    validate(os.fspath(path), verbose=False, report=lines.append)
    return lines


def write(store: Store, name: bytes, content: bytes) -> None:
    with store.guard:
        dentry = store.dentry(LIVE_ROOT, name)
        if dentry is None:
            ino = store.create(LIVE_ROOT, name, 0o100644, 1, 1).ino
        else:
            ino = dentry.ino
            store.setattr(ino, size=0)
        store.write(ino, 0, content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(os.fspath(path), create=True)
    for number in range(20):
        write(store, b"%d.json" % number, b"%d" % number * 1000)
    store.syncer.flush()
    yield store
    store.close()


def test_beside_writing_and_packing(store: Store, path: Path):
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write(store, b"%d.json" % (number % 50), os.urandom(3000))
            if number % 100 == 0:
                collect(store)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(10):
            assert checked(path) == ["0 errors"]
    finally:
        stop.set()
        worker.join()


def test_content_that_is_packed_meanwhile(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = ArchiveCheck.run

    def packed_after(check: ArchiveCheck) -> Iterator[Suspect]:
        yield from run(check)
        collect(store)  # the hot segments that the check is going to look for are gone

    monkeypatch.setattr(ArchiveCheck, "run", packed_after)
    assert checked(path) == ["0 errors"]
    assert os.listdir(store.layout.hot) == []


def test_an_archive_that_goes_meanwhile(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch):
    collect(store)
    run = LogCheck.run

    def compacted_after(check: LogCheck) -> None:
        run(check)
        with store.guard:
            for cid in range(1, store.tree.next_content):
                content = store.tree.content(cid)
                assert content is not None
                store.record(records.Move(0, store.clock(), cid, 2, content.at))
            store.record(records.Archive(0, store.clock(), 2, 20, 0))
            store.record(records.Drop(0, store.clock(), 1))
        for of in (store.layout.archive, store.layout.archive_metadata):
            os.rename(of(1), of(2))

    monkeypatch.setattr(LogCheck, "run", compacted_after)
    assert checked(path) == ["0 errors"]


def test_an_archive_that_comes_meanwhile(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch):
    run = LogCheck.run

    def published_after(check: LogCheck) -> None:
        run(check)
        Path(store.layout.archive(1)).touch()  # named, not yet logged

    monkeypatch.setattr(LogCheck, "run", published_after)
    assert checked(path) == ["0 errors"]


def test_a_line_that_is_being_written(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch):
    with store.guard:
        store.record(records.Setattr(0, store.clock(), LIVE_ROOT, mode=0o40700))
    segment = Path(store.layout.lookup_segment(1))
    text = segment.read_bytes()
    segment.write_bytes(text[:-10])

    def finish(seconds: float) -> None:
        segment.write_bytes(text)

    monkeypatch.setattr(log_check.time, "sleep", finish)
    assert checked(path) == ["0 errors"]


def test_a_line_that_stays_torn_while_mounted(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_check, "_PATIENCE", 0.1)
    segment = Path(store.layout.lookup_segment(1))
    text = segment.read_bytes()
    segment.write_bytes(text + b"{")
    assert checked(path)[-1] == "1 error"
    segment.write_bytes(text)


def test_an_inode_that_is_let_go(store: Store, path: Path):
    """A file without a name is freed without a record: hot content of it may be gone."""
    with store.guard:
        ino = store.create(LIVE_ROOT, b"", 0o100600, 1, 1).ino
        store.write(ino, 0, b"x" * 1000)
    store.syncer.flush()
    assert checked(path) == ["0 errors"]
    with store.guard:
        store.free(ino)
    store.syncer.flush()
    collect(store)
    assert checked(path) == ["0 errors"]


class RandomWorld:
    """A store that random things happen to, on random days."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.now = 1_789_905_600 * SECOND
        self.open()

    def open(self) -> None:
        self.store = Store.open(os.fspath(self.path), create=True, clock=self.clock)

    def clock(self) -> int:
        self.now += self.random.choice([1000, 10**6, SECOND])
        return self.now

    def names(self) -> list[tuple[int, bytes, Inode]]:
        found: list[tuple[int, bytes, Inode]] = []
        waiting = [LIVE_ROOT]
        while waiting:
            directory = waiting.pop()
            for entry in self.store.tree.entries(directory, 0, 1000, plus=True):
                assert entry.inode is not None
                found.append((directory, entry.name, entry.inode))
                if entry.inode.is_directory:
                    waiting.append(entry.ino)
        return found

    def step(self) -> None:
        kinds = {
            self.later: 6, self.create: 14, self.change: 25, self.remove: 8, self.rename: 8,
            self.store.syncer.flush: 4, self.pack: 2, self.mount_again: 1,
        }  # fmt: skip
        self.random.choices([*kinds], [*kinds.values()])[0]()

    def later(self) -> None:
        self.now += self.random.choice([40, 70, 7200, 50_000, 90_000]) * SECOND

    def create(self) -> None:
        directories = [i.ino for _, _, i in self.names() if i.is_directory]
        parent = self.random.choice([LIVE_ROOT, *directories])
        name = b"%d" % self.random.randrange(8)
        if self.store.dentry(parent, name) is None:
            mode = self.random.choice([0o40755, 0o100644, 0o100644])
            self.store.create(parent, name, mode, 1, 1)

    def change(self) -> None:
        names = self.names()
        if not names:
            return
        store, some = self.store, self.random
        inode = some.choice(names)[2]
        what = some.randrange(6)
        if what == 0:
            store.setattr(inode.ino, mtime=self.now - some.randrange(400 * 86400) * SECOND)
        elif what == 1:
            store.setattr(inode.ino, mode=inode.mode ^ 1)
        elif what == 2:
            store.set_xattr(inode.ino, b"user.x", some.choice([b"value", None]))
        elif inode.is_regular and what == 3:
            store.setattr(inode.ino, size=some.randrange(1000))
        elif inode.is_regular:
            store.write(inode.ino, some.randrange(1000), some.randbytes(some.randrange(1, 90_000)))

    def remove(self) -> None:
        empty = [(parent, name) for parent, name, inode in self.names() if not inode.entries]
        if empty:
            self.store.unlink(*self.random.choice(empty))

    def rename(self) -> None:
        names = [entry for entry in self.names() if entry[2].is_regular]
        if len(names) < 2:
            return
        (parent, name, inode), (heir, target, other) = self.random.sample(names, 2)
        if inode.ino != other.ino and self.random.random() < 0.7:
            exchange = self.random.random() < 0.3
            self.store.rename(parent, name, heir, target, exchange=exchange)
        elif self.store.dentry(heir, b"new") is None:
            call = self.random.choice([self.link, self.store.rename])
            call(parent, name, heir, b"new")

    def link(self, parent: int, name: bytes, heir: int, target: bytes) -> None:
        dentry = self.store.dentry(parent, name)
        assert dentry is not None
        self.store.link(dentry.ino, heir, target)

    def pack(self) -> None:
        collect(self.store)

    def mount_again(self) -> None:
        self.store.close()
        assert checked(self.path) == ["0 errors"]
        if self.random.random() < 0.5:
            os.unlink(self.store.layout.index)
            assert checked(self.path)[-1] == "0 errors, 1 warning"
        self.open()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_a_store_it_stays_valid(path: Path, seed: int):
    world = RandomWorld(path, seed)
    for number in range(150):
        world.step()
        if number % 30 == 0:
            assert checked(path) == ["0 errors"]
    world.store.close()
    assert checked(path) == ["0 errors"]
    shutil.rmtree(path)
