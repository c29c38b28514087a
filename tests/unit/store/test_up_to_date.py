"""Questions about the past wait for the index to have everything that was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.disk import sqlite
from djafs.disk.batch import Batch
from djafs.disk.index_writer import IndexWriter
from djafs.model import LIVE_ROOT
from djafs.store.store import Store


@pytest.fixture
def opened(store: Path) -> Iterator[Store]:
    opened = Store.open(str(store), create=True)
    yield opened
    opened.close()


def create(store: Store, name: bytes) -> None:
    with store.guard:
        store.create(LIVE_ROOT, name, 0o100644, 0, 0)


def test_the_index_is_behind_while_a_batch_is_being_written(
    opened: Store, monkeypatch: pytest.MonkeyPatch
):
    said = []
    apply = IndexWriter.apply

    def slow(writer: IndexWriter, batch: Batch) -> None:
        said.append(opened.syncer.behind())
        apply(writer, batch)

    monkeypatch.setattr(IndexWriter, "apply", slow)
    create(opened, b"a")
    opened.syncer.flush()
    assert said == [True]
    assert not opened.syncer.behind()


def test_a_flush_after_one_that_failed_brings_everything(
    opened: Store, monkeypatch: pytest.MonkeyPatch
):
    def fail(writer: IndexWriter, batch: Batch) -> None:
        raise sqlite.Error("another process holds the index")

    day = opened.calendar.day_of(opened.clock())
    with monkeypatch.context() as patched:
        patched.setattr(IndexWriter, "apply", fail)
        create(opened, b"a")
        with pytest.raises(sqlite.Error):
            opened.syncer.flush()
    create(opened, b"b")
    opened.syncer.flush()
    found = opened.snapshots.entries(LIVE_ROOT, None, 10, day)
    assert {entry.name for entry in found} == {b"a", b"b"}
