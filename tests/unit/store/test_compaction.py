"""Compaction: fewer archives, nothing lost, nothing that a snapshot shows gone."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from conftest import validate
from djafs.disk import sqlite
from djafs.packing.compaction import ArchiveUse, Limits, plan
from djafs.packing.plan import PackPlan, PackResult
from djafs.store.collector import Collector
from rig.near_packer import NearPacker
from rig.small_store import DAY, ROOT, SECOND, CopyingHost, SmallStore

FEW = Limits(fan=3, most_members=1000, most_bytes=1 << 20)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallStore]:
    world = SmallStore(tmp_path / "store")
    yield world
    world.close()
    validate(world.path)


def document(number: int, size: int = 1000) -> bytes:
    return (b'{"document": %d}' % number * size)[:size]


def fill(world: SmallStore, archives: int, files: int = 5, first: int = 0) -> list[int]:
    """Make archives of some files each; return the inodes."""
    made = []
    for archive in range(first, first + archives):
        for number in range(files):
            name = b"%d-%d.json" % (number, archive)
            made.append(world.file(name, document(100 * archive + number)))
        world.collect(Limits(fan=1000))
    return made


# Planning


def use(archive: int, weight: float, share: float = 1.0) -> ArchiveUse:
    size = round(weight * 1_000_000 / share)
    return ArchiveUse(archive, 10, 10, size, round(size * share))


LIMITS = Limits(fan=4, least=0.6, most_members=10**9, most_bytes=1_000_000)


def test_archives_of_one_size_are_merged_when_there_are_enough():
    few = [use(number, 0.05) for number in range(1, 4)]
    assert plan(few, LIMITS) == []
    assert plan([*few, use(4, 0.01), use(5, 0.3)], LIMITS) == []
    assert plan([use(4, 0.04), *few], LIMITS) == [[1, 2, 3, 4]]


def test_what_is_merged_fits_into_one_archive():
    large = [use(number, 0.3) for number in range(1, 8)]
    assert plan(large, LIMITS) == [[1, 2, 3], [4, 5, 6]]
    assert plan([use(number, 0.5) for number in range(1, 20)], LIMITS) == []
    many = [use(number, 0.0001) for number in range(1, 71)]
    assert [len(group) for group in plan(many, LIMITS)] == [32, 32, 6]


def test_an_archive_that_is_mostly_out_of_reach_is_written_anew():
    assert plan([use(1, 0.3, 0.59)], LIMITS) == [[1]]
    assert plan([use(1, 0.3, 0.61)], LIMITS) == []
    assert plan([use(1, 0.4, 0.5), use(2, 0.9), use(3, 0.9, 0.4)], LIMITS) == [[1], [3]]
    unknown = ArchiveUse(1, members=10, known=5, size=1000, live=1000)
    assert plan([unknown], LIMITS) == [[1]]
    assert plan([ArchiveUse(1, 10, 0, 0, 0)], LIMITS) == [[1]]


def test_by_force_everything_small_or_wasteful_is_done():
    assert plan([use(1, 0.01), use(2, 0.2)], LIMITS, force=True) == [[1, 2]]
    assert plan([use(1, 0.01), use(2, 0.9)], LIMITS, force=True) == []
    assert plan([use(1, 0.01), use(2, 0.6, 0.99)], LIMITS, force=True) == [[1, 2]]
    assert plan([use(2, 0.6, 0.99)], LIMITS, force=True) == [[2]]


@pytest.mark.parametrize("arrivals", [1, 7, 64, 1000])
def test_however_archives_arrive_few_stay_and_each_document_moves_a_few_times(arrivals):
    limits = Limits(fan=8, most_members=10**9, most_bytes=1 << 20)
    archives: dict[int, int] = {}
    moves, size, number = 0, (1 << 20) // arrivals // 4 + 1, 0
    for _ in range(arrivals):
        number += 1
        archives[number] = size
        while groups := plan((ArchiveUse(n, 1, 1, s, s) for n, s in archives.items()), limits):
            for group in groups:
                number += 1
                archives[number] = sum(archives.pop(old) for old in group)
                moves += archives[number]
    assert len(archives) <= 7 * 4
    assert moves <= 4 * size * arrivals


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
    assert world.store.read(ino, 0, 1000) == document(1)
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
    assert world.store.read(first, 0, 1000) == document(1)


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
    assert world.store.read(inos[0], 0, 1000) == document(0)
    fill(world, 2, first=5)
    monkeypatch.setattr(content, "read", compact_then_read)
    assert world.store.read_past(state, day, 0, 1000) == document(0)


# What can go wrong


def test_a_crash_between_any_two_steps_loses_nothing(tmp_path):
    host = CopyingHost()
    world = SmallStore(tmp_path / "store", host)
    inos = fill(world, 3)
    world.now += DAY
    world.write(inos[0], document(77))
    world.unlink(b"1-1.json")
    world.file(b"gone", document(5))
    world.collect()
    world.now += DAY
    world.unlink(b"gone")
    live, past = world.live(), world.past()
    host.root, host.target = world.path, tmp_path / "copies"
    assert world.compact().compacted == 4
    host.target = None
    world.close()
    assert {"archive.write", "archive.rename", "lookup.append", "compaction.unlink",
            "compaction.unlink-djfm", "djfm.rename"} <= set(host.steps)  # fmt: skip
    for number, step in enumerate(host.steps):
        copy = SmallStore(tmp_path / "copies" / f"{number:03}-{step}", now=world.now)
        try:
            assert (copy.live(), copy.past()) == (live, past), step
            files = set(copy.archives())
            copy.compact()
            assert (copy.live(), copy.past()) == (live, past), step
            assert len(copy.archives()) == 1, (step, files)
        finally:
            copy.close()
        validate(copy.path)


@pytest.mark.parametrize(
    "label", ["archive.create", "archive.sync", "djfm.write", "archive.rename", "compaction.unlink"]
)
def test_a_step_that_fails_can_be_done_later(tmp_path, label):
    host = CopyingHost()
    world = SmallStore(tmp_path / "store", host)
    fill(world, 3)
    live = world.live()
    host.fail = label
    with pytest.raises(OSError, match=label):
        world.compact()
    assert world.live() == live
    host.fail = None
    world.reopen()
    world.compact()
    assert world.live() == live
    assert len(world.archives()) == 1
    world.close()
    validate(world.path)


def test_a_damaged_archive_is_kept_and_the_rest_moves(world, caplog):
    inos = [world.file(b"%d" % n, os.urandom(200_000)) for n in range(3)]
    world.collect()
    fill(world, 2)
    live = world.live()
    path = Path(world.layout.archive(1))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[300_000] ^= 1
    path.write_bytes(damaged)
    done = world.compact()
    assert done.compacted == 2
    assert world.archives() == ["00000001.tar.zst", "00000004.tar.zst"]
    assert "not compacted: archive" in caplog.text
    path.write_bytes(whole)
    world.store.content.archives.forget(1)
    assert world.live() == live
    assert len(inos) == 3


def test_content_that_is_not_what_was_written_does_not_move(world, monkeypatch, caplog):
    fill(world, 2, files=2)
    live = world.live()
    run = NearPacker.run

    def forge(packer: NearPacker, plan: PackPlan, cancelled: object = None) -> PackResult:
        result = run(packer, plan)
        result.items[0] = result.items[0]._replace(digest=bytes(32))
        return result

    monkeypatch.setattr(NearPacker, "run", forge)
    world.compact()
    assert "is not what was written" in caplog.text
    assert len(world.archives()) == 2
    assert world.live() == live


def test_files_of_archives_that_the_log_knows_nothing_of_are_left_alone(tmp_path):
    world = SmallStore(tmp_path / "store")
    fill(world, 1)
    world.close()
    for number in (2, 9):
        Path(world.layout.archive(number)).write_bytes(b"?")
    world.open()
    assert world.archives() == ["00000001.tar.zst", "00000009.tar.zst"]
    world.close()


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
