"""Compaction: fewer archives, nothing lost, nothing that a snapshot shows gone."""

from __future__ import annotations

import os
import tarfile

import pytest
import zstandard

from djafs.disk import sqlite
from djafs.store.collector import Collector
from rig.near_packer import NearPacker
from rig.small_archives import FEW, document, fill
from rig.small_store import DAY, ROOT, SECOND

# Merging


def test_small_archives_become_one_that_still_has_names_and_modes(world):
    fill(world, 2)
    world.file(b"a" * 250, b"a long name", mode=0o4711)
    world.file(b"\xff.json", b"not UTF-8")
    for number in range(3):
        world.file(b"more-%d" % number, document(500 + number))
    live, past = world.live(), world.past()
    done = world.collect(FEW)
    assert (done.archives, done.compacted, done.forgotten) == (1, 3, 0)
    assert world.archives() == ["00000004.tar.zst"]
    assert (world.live(), world.past()) == (live, past)
    path = world.layout.archive(4)
    with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        tar = tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        members = [(os.fsencode(m.name), m.mode, m.uid, m.gid, m.mtime) for m in tar]
    assert [name for name, *_ in members] == sorted(live)
    with world.store.guard:
        for name, mode, uid, gid, mtime in members:
            inode = world.store.inode(world.store.dentry(ROOT, name).ino)
            assert (mode, uid, gid) == (inode.mode & 0o7777, inode.uid, inode.gid)
            assert mtime == inode.mtime // SECOND


def test_the_index_is_as_one_made_from_the_log(world):
    inos = fill(world, 4)
    world.now += DAY
    for ino in inos[::2]:
        world.write(ino, document(1000 + ino))
    world.collect()
    world.now += DAY
    for number in range(5):
        world.unlink(b"%d-1.json" % number)
    world.compact()
    tables, live, past = world.tables(), world.live(), world.past()
    world.reopen(without_index=True)
    assert world.store.recovered.rebuilt
    assert world.tables() == tables
    assert (world.live(), world.past()) == (live, past)


def test_nothing_is_done_that_is_not_due(world):
    fill(world, 2)
    assert world.collect(FEW).compacted == 0
    done = world.compact()
    assert (done.compacted, done.forgotten) == (2, 0)
    again = world.compact()
    assert (again.compacted, again.reclaimed) == (0, 0)
    assert world.archives() == ["00000003.tar.zst"]


# Letting go


def test_content_that_no_snapshot_shows_is_given_up(world):
    ino = world.file(b"a", document(1, 5000))
    world.collect()
    world.now += 3600 * SECOND
    world.write(ino, document(2, 6000))
    world.collect()
    assert world.compact().forgotten == 0  # the version of an hour ago may still be opened again
    world.now += 3600 * SECOND
    done = world.compact()
    assert (done.forgotten, world.archives()) == (1, ["00000004.tar.zst"])
    assert set(world.past().values()) == {document(2, 6000)}


@pytest.mark.parametrize("days", [0, 1])
def test_a_file_replaced_by_renaming_leaves_what_a_day_showed(world, days):
    contents = [document(n, 4000) for n in range(3)]
    for number, content in enumerate(contents):
        world.now += days * DAY + 3600 * SECOND
        world.file(b"a.tmp", content)
        world.now += 3600 * SECOND
        with world.store.guard:
            before = world.store.dentry(ROOT, b"a")
            world.store.rename(ROOT, b"a.tmp", ROOT, b"a")
            if before is not None:
                world.store.free(before.ino)
        world.collect()
        assert len(world.archives()) == number + 1
    past = world.past()
    world.now += 3600 * SECOND
    done = world.compact()
    assert world.past() == past
    assert set(past.values()) == (set(contents) if days else {contents[-1]})
    assert done.forgotten == (0 if days else 2)


def test_a_file_that_came_and_went_within_a_day_takes_its_content_along(world):
    world.file(b"keep", document(1))
    world.file(b"go", document(2))
    world.collect()
    world.now += 3600 * SECOND
    world.unlink(b"go")
    done = world.compact()
    assert done.forgotten == 1
    assert world.live() == {b"keep": document(1)}


def test_parts_that_no_version_needs_go(world):
    size = 16 << 20
    ino = world.file(b"large", b"")
    for day in range(2):
        world.now += day * DAY
        for number in range(3):
            world.now += 3600 * SECOND
            with world.store.guard:
                world.store.write(ino, size, document(10 * day + number, 3000))
            world.collect()
    past = world.past()
    world.now += 3600 * SECOND
    done = world.compact()
    assert done.forgotten == 4
    assert world.past() == past
    assert len(set(past.values())) == 2


def test_content_in_a_file_without_a_name_that_is_open_stays(world):
    ino = world.file(b"a", document(1))
    world.collect()
    with world.store.guard:
        world.store.unlink(ROOT, b"a")
    world.now += DAY
    assert world.compact().forgotten == 0
    assert world.store.reads.live(ino, 0, 1000) == document(1)
    with world.store.guard:
        world.store.free(ino)
    assert world.compact().forgotten == 1
    assert world.archives() == []


def test_what_is_cloned_during_the_survey_stays(world, monkeypatch):
    """A clone goes to an inode that was looked at before, from one that was not."""
    first = world.file(b"first", b"x")
    second = world.file(b"second", document(1))
    world.collect()
    world.now += 3600 * SECOND  # no day's end will show that it had content
    survey = NearPacker.survey

    def clone_then_survey(packer: NearPacker):
        with world.store.guard:
            world.store.clone(second, 0, first, 0, 1000)
        found = survey(packer)  # the index does not have the clone yet
        with world.store.guard:
            world.store.setattr(second, size=0)
        found.bits[0] &= ~(1 << 2)  # as if ``second`` was looked at only now
        return found

    monkeypatch.setattr(NearPacker, "survey", clone_then_survey)
    world.compact()
    assert world.store.reads.live(first, 0, 1000) == document(1)


def test_a_survey_is_made_when_enough_has_changed(world):
    ino = world.file(b"a", document(1))
    world.collect()
    world.now += DAY
    world.unlink(b"a")
    world.collect(survey=1000)
    assert world.archives() == ["00000001.tar.zst"]
    done = world.collect(survey=5)
    assert done.forgotten == 0  # yesterday showed it
    with world.store.guard:
        assert world.store.inode(ino) is None
    assert world.collect(survey=5).compacted == 0
    db = sqlite.connect(world.layout.index)
    swept, seq = (
        db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()[0]
        for key in ("swept", "seq")
    )
    db.close()
    assert swept > seq - 5


# Reading meanwhile


def test_reads_that_are_on_their_way_find_the_content_in_its_new_place(world, monkeypatch):
    inos = fill(world, 3)
    world.store.syncer.flush()
    day = world.store.snapshots.days()[0]
    state = world.store.snapshots.inode(inos[0], day)
    content = world.store.content
    read = content.read

    def compact_then_read(pieces):
        monkeypatch.setattr(content, "read", read)
        assert world.compact().compacted >= 3
        content.archives.close()
        return read(pieces)

    monkeypatch.setattr(content, "read", compact_then_read)
    assert world.store.reads.live(inos[0], 0, 1000) == document(0)
    fill(world, 2, first=5)
    monkeypatch.setattr(content, "read", compact_then_read)
    assert world.store.reads.past(state, 0, 1000) == document(0)


def test_what_was_found_before_compaction_is_looked_for_again(world):
    inos = fill(world, 3)
    store = world.store
    store.syncer.flush()
    state = store.snapshots.inode(inos[0], store.snapshots.days()[0])
    with store.guard:
        live = store.reads.live_now(store.inode(inos[0]), 0, 1000)
        past = store.reads.past_now(state, 0, 1000)
    assert live, "not where they lie"
    assert isinstance(live, list)
    assert past == live
    assert world.compact().compacted >= 3
    store.content.archives.close()
    assert store.reads.live(inos[0], 0, 1000, live) == document(0)
    store.content.archives.close()
    assert store.reads.past(state, 0, 1000, past) == document(0)


def test_the_packer_says_what_is_reached_from_a_process_of_its_own(world):
    from djafs.packing.packer import Packer

    fill(world, 1)
    world.store.syncer.flush()
    packer = Packer(world.layout)
    reached = packer.survey()
    assert [cid for cid in range(20) if cid in reached] == [1, 2, 3, 4, 5]
    collector = Collector(world.store, packer, 1)
    assert collector.compact().compacted == 0
    collector.close()
