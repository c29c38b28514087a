"""Calls that fail at an exact step: what was acknowledged stays, and everything goes on."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from conftest import validate
from djafs.disk import hot_log, lookup_log, sqlite
from djafs.disk.host import Host
from djafs.disk.index_writer import IndexWriter
from djafs.errors import LookupLogDamageError, PackingError, ReadOnlyStoreError
from djafs.store import syncer
from djafs.testing.faulty_host import Fault, FaultyHost
from djafs.testing.power_cut import PowerCutHost
from rig.small_store import ROOT, SmallStore


@pytest.fixture
def host() -> FaultyHost:
    return FaultyHost()


@pytest.fixture
def small(tmp_path: Path, host: FaultyHost):
    small = SmallStore(tmp_path / "store", host)
    with contextlib.suppress(OSError):
        os.unlink(small.layout.reserve)
    yield small
    host.clear()
    with contextlib.suppress(ReadOnlyStoreError):
        small.close()
    validate(small.path)


def fail(host: FaultyHost, label: str, number: int, *, times: int = 1, done: int = 0) -> None:
    host.faults.append(Fault(label, number, host.counts[label] + 1, times, done))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("label", ["hot.append", "lookup.append"])
@pytest.mark.parametrize("done", [0, 7, 60])
def test_a_write_that_fails(
    small: SmallStore, host: FaultyHost, label: str, number: int, done: int
):
    ino = small.file(b"a", b"before")
    before = small.store.log.position
    fail(host, label, number, done=done)
    with pytest.raises(OSError) as raised:
        small.store.write(ino, 0, b"never" * 100)
    assert raised.value.errno == number
    assert small.store.log.position == before
    assert small.live() == {b"a": b"before"}
    small.store.write(ino, 0, b"after!")
    small.reopen()
    assert small.live() == {b"a": b"after!"}


def test_a_failed_line_that_cannot_be_taken_back(small: SmallStore, host: FaultyHost):
    ino = small.file(b"a", b"before")
    fail(host, "lookup.append", errno.ENOSPC, done=50)
    fail(host, "lookup.undo", errno.EIO, times=2)
    with pytest.raises(OSError):
        small.store.write(ino, 0, b"never")
    with pytest.raises(OSError):  # it is still not taken back
        small.store.write(ino, 0, b"never")
    small.store.write(ino, 0, b"after!")
    small.reopen()
    assert small.live() == {b"a": b"after!"}


@pytest.mark.parametrize("label", ["hot.create", "lookup.create", "lookup.begin"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_a_segment_that_cannot_be_begun(
    small: SmallStore, host: FaultyHost, monkeypatch, label: str, number: int
):
    ino = small.file(b"a", b"before")
    monkeypatch.setattr(lookup_log, "SEGMENT", 1)
    monkeypatch.setattr(hot_log, "SEGMENT", 6)
    fail(host, label, number, times=3, done=20)
    for _ in range(3):
        with pytest.raises(OSError) as raised:
            small.store.write(ino, 0, b"never!")
        assert raised.value.errno == number
    small.store.write(ino, 0, b"after!")
    small.reopen()
    assert small.live() == {b"a": b"after!"}


@pytest.mark.parametrize(
    "label",
    [
        "hot.write-out",
        "hot.sync",
        "hot.sync-directory",
        "lookup.write-out",
        "lookup.sync",
        "lookup.sync-directory",
    ],
)
def test_a_sync_that_fails_makes_the_store_read_only(
    small: SmallStore, host: FaultyHost, label: str
):
    ino = small.file(b"a", b"before")
    small.store.log.roll(1)  # so that the directory has to be synced
    fail(host, label, errno.EIO)
    with pytest.raises(OSError) as raised:
        small.store.syncer.sync_for(small.store.log.seq)
    assert raised.value.errno == errno.EIO
    with pytest.raises(OSError) as refused:
        small.store.write(ino, 0, b"never")
    assert refused.value.errno == errno.EROFS
    with pytest.raises(OSError):
        small.store.unlink(ROOT, b"a")
    syncs = host.counts[label]
    with pytest.raises(ReadOnlyStoreError):
        small.store.syncer.make_durable(small.store.log.seq)
    with pytest.raises(ReadOnlyStoreError):
        small.store.syncer.flush()
    assert host.counts[label] == syncs  # not tried again
    assert small.live() == {b"a": b"before"}
    with pytest.raises(ReadOnlyStoreError):
        small.close()
    small.open()
    assert small.live() == {b"a": b"before"}
    small.store.write(ino, 0, b"after!")
    assert small.live() == {b"a": b"after!"}


def test_a_mark_that_cannot_be_written_is_no_failure(small: SmallStore, host: FaultyHost):
    small.file(b"a", b"content")
    fail(host, "lookup.append", errno.EIO)
    small.store.syncer.flush()
    assert small.store.syncer.durable == small.store.log.seq
    assert not small.store.syncer.confirm()  # but no hot content may go
    small.file(b"b", b"more")
    small.store.syncer.flush()
    assert small.store.syncer.confirm()


class Watching(PowerCutHost):
    """Sees to it that the log is durable when hot content goes."""

    gone = 0

    def unlink(self, path: str, label: str) -> None:
        if label == "hot.unlink":
            lookups = os.path.join(self._root, "store", "lookups")
            for name in os.listdir(lookups):
                assert self.is_synced(os.path.join(lookups, name))
            self.gone += 1
        super().unlink(path, label)


def test_hot_content_goes_only_after_a_durable_mark(tmp_path: Path):
    host = Watching(os.fspath(tmp_path))
    small = SmallStore(tmp_path / "store", host)
    small.file(b"a", b"content")
    small.unlink(b"a")
    small.collect()
    assert host.gone == 1
    small.close()


def test_hot_content_that_the_index_does_not_know_yet_stays(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hot_log, "SEGMENT", 100)
    confirm = small.store.syncer.confirm

    def confirm_late() -> bool:
        confirmed = confirm()
        for number in range(5):  # what is written while packing looks for what it may remove
            small.file(b"%d" % number, b"%d" % number * 80)
        return confirmed

    monkeypatch.setattr(small.store.syncer, "confirm", confirm_late)
    small.collect()
    assert small.live() == {b"%d" % n: b"%d" % n * 80 for n in range(5)}


class _Full(IndexWriter):
    """An index on a disk that is full, as long as ``full`` is set."""

    full = True

    def apply(self, batch):
        if self.full:
            raise sqlite.FullError("database or disk is full")
        super().apply(batch)


def test_an_index_that_cannot_be_written_refuses_changes_in_the_end(
    small: SmallStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(syncer, "BATCH", 10)
    monkeypatch.setattr(syncer, "BACKLOG", 40)
    store = small.store
    writer = _Full(store.recovered.writing, store.calendar)
    monkeypatch.setattr(store.syncer, "_writer", writer)
    made = 0
    with pytest.raises(OSError) as raised:
        while made < 1000:
            small.file(b"%d" % made, b"content")
            made += 1
            if made % 5 == 0:
                with pytest.raises(sqlite.FullError):
                    store.syncer.flush()
    assert raised.value.errno == errno.ENOSPC
    assert 20 < made < 100
    assert len(store.tree.batch) < 50
    writer.full = False
    store.syncer.flush()
    store.syncer.flush()
    small.file(b"more", b"content")
    assert len(small.live()) == made + 1 + (b"%d" % made in small.live())
    small.reopen(without_index=True)
    assert b"more" in small.live()


def test_what_frees_space_is_logged_with_the_space_kept_in_reserve(
    small: SmallStore, host: FaultyHost
):
    small.file(b"a", b"content")
    assert small.store.space.keep()
    fail(host, "lookup.append", errno.EDQUOT)
    small.unlink(b"a")
    assert not small.store.space.is_held
    assert small.live() == {}
    fail(host, "reserve.allocate", errno.EDQUOT)
    with pytest.raises(OSError) as raised:
        small.file(b"b", b"content")
    assert raised.value.errno == errno.EDQUOT
    small.file(b"b", b"content")  # there is space again, and a reserve
    assert small.store.space.is_held


@pytest.mark.parametrize(
    "label",
    [
        "archive.create", "archive.write", "archive.sync", "djfm.create", "djfm.write",
        "djfm.sync", "djfm.rename", "archive.rename", "archive.sync-directory",
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_packing_that_fails_leaves_all_as_it_was(
    small: SmallStore, host: FaultyHost, label: str, number: int
):
    content = {b"%d" % n: os.urandom(2000) for n in range(5)}
    for name, data in content.items():
        small.file(name, data)
    fail(host, label, number, times=100)
    with pytest.raises((OSError, PackingError)):
        small.collect()
    assert small.live() == content
    assert not [name for name in os.listdir(small.layout.archives) if name.endswith(".tmp")]
    host.clear()
    small.collect()
    assert small.live() == content
    assert len(small.archives()) == 1
    assert small.store.hot.size == 0


def test_a_record_that_does_not_fit_is_taken_back(small: SmallStore):
    small.file(b"a", b"content")
    before = small.store.log.position
    with pytest.raises(KeyError):
        small.store.unlink(ROOT, b"not there")
    assert small.store.log.position == before
    with pytest.raises(OSError):
        small.file(b"b", b"")
    with pytest.raises(ReadOnlyStoreError):
        small.close()
    small.open()
    assert small.live() == {b"a": b"content"}


def test_descriptors_run_out_while_reading(small: SmallStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hot_log, "SEGMENT", 10)
    content = {b"%d" % n: b"content %d" % n for n in range(6)}
    for name, data in content.items():
        small.file(name, data)
    assert small.live() == content
    opened = os.open
    failing = {"at": 0}

    def scarce(path, flags, *rest, **more):
        failing["at"] += 1
        if failing["at"] % 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, flags, *rest, **more)

    small.store.content.hot.forget_below(6)
    monkeypatch.setattr(os, "open", scarce)
    assert small.live() == content


def test_an_old_index_is_kept_until_there_is_another(small: SmallStore, host: FaultyHost):
    small.file(b"a", b"content")
    small.close()
    size = os.path.getsize(small.layout.index)
    with open(small.layout.index, "r+b") as index:
        index.write(os.urandom(size))
    small.open()
    assert small.store.recovered.rebuilt
    assert small.live() == {b"a": b"content"}
    assert not os.path.exists(small.layout.old_index)


def test_a_log_that_ends_before_its_index_refuses_the_mount(small: SmallStore):
    small.file(b"a", b"content")
    small.close()
    size = os.path.getsize(small.layout.lookup_segment(1))
    small.open()
    small.file(b"b", b"later")
    small.close()
    os.truncate(small.layout.lookup_segment(1), size)
    with pytest.raises(LookupLogDamageError, match="ends at record 7, and the index has record 10"):
        small.open()
    os.unlink(small.layout.index)  # as the message says: go on without what was lost
    small.open()
    assert small.live() == {b"a": b"content"}


def test_two_mounts_may_create_a_store_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from djafs.errors import LockedError
    from djafs.store import opening as module

    path = tmp_path / "store"
    prepare = module.prepare_store
    other: list[SmallStore] = []

    def prepare_slowly(*arguments):
        prepare(*arguments)
        if not other:
            monkeypatch.setattr(module, "prepare_store", prepare)
            other.append(SmallStore(path))

    monkeypatch.setattr(module, "prepare_store", prepare_slowly)
    with pytest.raises(LockedError):
        SmallStore(path)
    other[0].file(b"a", b"content")
    other[0].reopen()
    assert other[0].live() == {b"a": b"content"}
    other[0].close()


def test_short_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    content = bytes(range(200))
    Host().pwrite(descriptor, content, 3, "test")
    assert os.pread(descriptor, 300, 3) == content
    os.close(descriptor)
