"""An index that is made from the log takes the place of the one in use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import validate
from djafs.disk import index as disk_index
from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.errors import LookupLogDamageError, ReadOnlyStoreError
from djafs.store import index_draft, index_renewal
from djafs.store.aside import Aside
from djafs.store.collector import Collector
from rig.near_packer import NearPacker
from rig.small_store import DAY, CopyingHost, SmallStore

STEPS = ["index.sync", "repair.link", "repair.unlink", "repair.rename", "repair.sync-directory"]


@pytest.fixture
def small(store: Path) -> Iterator[SmallStore]:
    """Names and contents of three days, some packed, and changes that the index lacks."""
    made = SmallStore(store, CopyingHost())
    inos = [made.file(b"%d" % number, b"content %d" % number) for number in range(60)]
    made.collect()
    made.now += DAY
    for ino in inos[::3]:
        made.write(ino, b"written later")
    for number in range(1, 60, 3):
        made.unlink(b"%d" % number)
    made.store.syncer.flush()
    made.now += DAY
    made.file(b"not in the index", b"yet")
    made.write(inos[2], b"nor is this")
    yield made
    made.close()


def renew(small: SmallStore, before: Callable[[], None] = lambda: None) -> None:
    packer = NearPacker(small.layout, small.host)
    collector = Collector(small.store, packer, 1)
    try:
        before()
        with collector.paused():
            collector.make_index_anew(Aside(small.host, small.layout))
        collector.collect(0)
    finally:
        collector.close()


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen when the draft is complete, and not in use yet."""
    complete = index_renewal.complete

    def then(*arguments: Any) -> None:
        complete(*arguments)
        act()

    monkeypatch.setattr(index_renewal, "complete", then)


def spoil(small: SmallStore) -> None:
    """Let the index say what never was."""
    names = small.store.recovered.writing.connection
    names.execute("UPDATE content SET held = x'00'")
    names.execute("DELETE FROM version")
    names.execute("DELETE FROM dentry WHERE cookie % 2 = 0")
    names.execute("UPDATE state SET value = value + 7 WHERE key = 'ino'")


def test_all_is_as_if_it_had_been_made_at_a_mount(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    live, past = small.live(), small.past()
    spoil(small)
    logged: list[int] = []
    during(
        monkeypatch, lambda: logged.append(small.file(b"meanwhile", b"logged, not in the draft"))
    )
    renew(small)
    assert small.store.tree.inode(logged[0]) is not None
    expected = {**live, b"meanwhile": b"logged, not in the draft"}
    assert small.live() == expected
    assert {key: was for key, was in small.past().items() if key in past} == past
    tables = small.tables()
    small.reopen()
    assert small.store.recovered.rebuilt is None
    assert (small.live(), small.tables()) == (expected, tables)
    small.reopen(without_index=True)
    assert (small.live(), small.tables()) == (expected, tables)


def test_what_is_logged_while_the_draft_is_made_is_in_it(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    make = index_draft.make

    def then(*arguments: Any) -> int:
        reached = make(*arguments)
        small.file(b"behind", b"the draft")
        return reached

    monkeypatch.setattr(index_draft, "make", then)
    renew(small)
    assert small.live()[b"behind"] == b"the draft"
    small.reopen()
    assert small.live()[b"behind"] == b"the draft"


def test_what_is_open_without_a_name_stays_and_what_was_let_go_does_not_come_back(
    small: SmallStore,
):
    ino = small.file(b"open", b"still needed")
    with small.store.guard:
        small.store.unlink(2, b"open")
    renew(small)
    assert small.store.tree.orphans == {ino}
    assert small.store.reads.live(ino, 0, 100) == b"still needed"
    with small.store.guard:
        small.store.free(ino)
    small.store.syncer.flush()
    rows = small.store.recovered.reading.connection
    assert rows.execute("SELECT count(*) FROM inode WHERE nlink = 0").fetchone() == (0,)


def test_a_store_that_took_no_changes_takes_them_again(small: SmallStore):
    def fail() -> None:
        small.store.index_failed(sqlite.Error("a page"))
        with pytest.raises(OSError):
            small.file(b"new", b"refused")

    renew(small, fail)
    small.file(b"new", b"taken")
    assert small.live()[b"new"] == b"taken"
    assert not os.path.exists(small.layout.old_index)
    small.reopen()
    assert small.live()[b"new"] == b"taken"


def test_every_crash_point_is_harmless(small: SmallStore, tmp_path: Path):
    live = small.live()
    host = small.host
    assert isinstance(host, CopyingHost)
    host.root, host.target = small.path, tmp_path / "left"
    renew(small)
    host.target = None
    assert set(STEPS) <= set(host.steps)
    left = sorted((tmp_path / "left").iterdir())
    named = next(n for n, at in enumerate(left) if at.name.endswith("repair.rename")) + 1
    for at in (*{step.name.split("-", 1)[1]: step for step in left}.values(), left[named]):
        after = SmallStore(at)
        assert after.live() == live, at.name
        if at == left[named]:
            assert after.store.recovered.rebuilt is None, "the new one was complete"
        after.close()
        assert not list(at.glob("index.new*")), at.name
        validate(at)


@pytest.mark.parametrize("label", STEPS)
def test_what_fails_loses_nothing(small: SmallStore, label: str):
    live = small.live()
    host = small.host
    assert isinstance(host, CopyingHost)
    host.fail = label
    with pytest.raises((OSError, ReadOnlyStoreError)):
        renew(small)
    host.fail = None
    assert small.live() == live
    with contextlib.suppress(ReadOnlyStoreError):  # if the old one had lost its name
        small.close()
    small.open()
    assert small.live() == live


def test_a_log_that_is_damaged_leaves_the_index_in_use(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    live = small.live()
    monkeypatch.setattr(index_draft.lookup_reader, "holds", lambda *_: False)
    with pytest.raises(LookupLogDamageError):
        renew(small)
    small.file(b"new", b"taken")
    assert small.live() == {**live, b"new": b"taken"}
    assert not os.path.exists(small.layout.new_index)


def test_a_reader_never_has_one_index_and_the_log_of_another(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    """SQLite opens them one after the other."""
    connect, places = disk_index._connect, []

    def slow(path: str, mode: str, cache: int) -> sqlite.Connection:
        connection = connect(path, mode, cache)
        places.append(os.stat(path).st_ino)
        if len(places) == 1:
            monkeypatch.undo()
            renew(small)
            monkeypatch.setattr(disk_index, "_connect", slow)
        return connection

    monkeypatch.setattr(disk_index, "_connect", slow)
    index = Index.open_read_only(small.layout)
    assert len(places) == 2
    assert places[0] != places[1]
    index.close()
