"""Listing a directory, and reading it ahead, while what was changed is on its way to the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.model import LIVE_ROOT, Dentry, Inode
from djafs.store.store import Store
from djafs.store.tree import AHEAD


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(str(tmp_path / "store"), create=True)
    yield store
    store.close()


def make(store: Store, *names: str) -> None:
    with store.guard:
        for name in names:
            store.create(LIVE_ROOT, name.encode(), 0o100644, 0, 0)


def listed(store: Store, limit: int) -> list[bytes]:
    found: list[bytes] = []
    after = 0
    while True:
        with store.guard:
            page = store.tree.entries(LIVE_ROOT, after, limit, plus=True)
        found += [entry.name for entry in page]
        if len(page) < limit:
            return found
        after = page[-1].cookie


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7, 8, 100])
def test_what_was_just_written_to_the_index_is_listed_once(open_store: Store, limit: int):
    """Between the index's commit and the moment when the batch is let go."""
    store = open_store
    make(store, "a", "b", "c")
    store.syncer.flush()
    make(store, "d", "e")
    with store.guard:
        store.unlink(LIVE_ROOT, b"b")
        batch = store.tree.freeze(store.log.position)
    store.recovered.writer.apply(batch)
    make(store, "f", "g")
    assert listed(store, limit) == [b"a", b"c", b"d", b"e", b"f", b"g"]
    with store.guard:
        store.tree.thaw()
    assert listed(store, limit) == [b"a", b"c", b"d", b"e", b"f", b"g"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_what_is_frozen_and_not_written_yet_is_listed(open_store: Store, limit: int):
    store = open_store
    make(store, "a")
    store.syncer.flush()
    make(store, "b", "c")
    with store.guard:
        batch = store.tree.freeze(store.log.position)
        store.rename(LIVE_ROOT, b"a", LIVE_ROOT, b"z")
    make(store, "d")
    assert listed(store, limit) == [b"b", b"c", b"z", b"d"]
    store.recovered.writer.apply(batch)
    assert listed(store, limit) == [b"b", b"c", b"z", b"d"]
    with store.guard:
        store.tree.thaw()
    assert listed(store, limit) == [b"b", b"c", b"z", b"d"]


def asked_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the names that the index is asked for from now on, one at a time."""
    asked: list[bytes] = []
    ask = store.tree.index.dentry

    def noted(parent: int, name: bytes) -> Dentry | None:
        asked.append(name)
        return ask(parent, name)

    monkeypatch.setattr(store.tree.index, "dentry", noted)
    return asked


def looked_up(store: Store, name: bytes) -> Inode | None:
    with store.guard:
        dentry = store.dentry(LIVE_ROOT, name)
        return None if dentry is None else store.inode(dentry.ino)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Store]:
    """A store with 200 names in its index, of which none is in memory."""
    root = str(tmp_path / "store")
    store = Store.open(root, create=True)
    make(store, *(f"{number:03}" for number in range(200)))
    store.close()
    store = Store.open(root)
    store.syncer.flush()
    yield store
    store.close()


def test_names_are_read_ahead_for_who_asks_in_their_order(
    many: Store, monkeypatch: pytest.MonkeyPatch
):
    asked = asked_of(many, monkeypatch)
    inos = [looked_up(many, b"%03d" % number).ino for number in range(200)]
    assert len(asked) <= 2 + 200 // AHEAD
    assert inos == sorted(set(inos))


def test_what_was_read_ahead_and_then_changed_is_not_told(many: Store):
    for number in range(3):
        assert looked_up(many, b"%03d" % number)
    with many.guard:
        many.unlink(LIVE_ROOT, b"005")
        many.rename(LIVE_ROOT, b"006", LIVE_ROOT, b"moved")
        many.setattr(looked_up_ino(many, b"007"), mode=0o100600)
    assert looked_up(many, b"005") is None
    assert looked_up(many, b"006") is None
    assert looked_up(many, b"007").mode == 0o100600
    many.syncer.flush()
    assert looked_up(many, b"005") is None
    assert looked_up(many, b"moved")
    assert looked_up(many, b"007").mode == 0o100600


@pytest.mark.parametrize("written", [False, True])
def test_what_is_on_its_way_to_the_index_is_not_read_ahead(many: Store, written: bool):
    with many.guard:
        many.unlink(LIVE_ROOT, b"005")
        batch = many.tree.freeze(many.log.position)
        many.setattr(looked_up_ino(many, b"006"), mode=0o100600)
        many.rename(LIVE_ROOT, b"007", LIVE_ROOT, b"008")
    if written:
        many.recovered.writer.apply(batch)
    old = looked_up(many, b"008").ino
    for number in range(5):
        assert looked_up(many, b"%03d" % number)
    assert looked_up(many, b"005") is None
    assert looked_up(many, b"006").mode == 0o100600
    assert looked_up(many, b"007") is None
    assert looked_up(many, b"008").ino == old
    if not written:
        many.recovered.writer.apply(batch)
    with many.guard:
        many.tree.thaw()
    assert looked_up(many, b"005") is None
    assert looked_up(many, b"008").ino == old


def test_what_cannot_be_read_ahead_harms_nobody_else(many: Store, monkeypatch: pytest.MonkeyPatch):
    ino = looked_up_ino(many, b"004")
    damage = "UPDATE inode SET state = x'00' WHERE ino = ?"
    many.recovered.writer._db.execute(damage, (ino,)).fetchall()
    for number in (0, 1, 2, 3, 5, 6):
        assert looked_up(many, b"%03d" % number)
    with pytest.raises(ValueError, match="damaged"):
        looked_up(many, b"004")


def looked_up_ino(store: Store, name: bytes) -> int:
    dentry = store.tree.index.dentry(LIVE_ROOT, name)
    assert dentry is not None
    return dentry.ino
