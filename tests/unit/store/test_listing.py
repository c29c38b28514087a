"""Listing a directory while what was changed in it is on its way to the index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.model import LIVE_ROOT
from djafs.store.store import Store


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
