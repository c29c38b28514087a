"""Closing segments of the lookup log: compressed once they are full, and read as before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import validate
from djafs.disk import log_closing, lookup_log
from djafs.errors import LookupLogDamageError
from djafs.store.log_keeper import LogKeeper
from rig.small_store import CopyingHost, SmallStore


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_log, "SEGMENT", 4000)


def fill(world: SmallStore, files: int = 60, first: int = 0) -> None:
    for number in range(first, first + files):
        world.file(b"%d.json" % number, b"document %d" % number)
    world.store.syncer.flush()


def names(world: SmallStore) -> list[str]:
    return sorted(os.listdir(world.layout.lookups))


def test_full_segments_are_compressed_but_not_the_open_one(world):
    fill(world)
    before = len(names(world))
    assert before > 3
    assert LogKeeper(world.store).close_segments() == before - 1
    assert names(world)[:-1] == [f"{n:08}.djfl.zst" for n in range(1, before)]
    assert names(world)[-1] == f"{before:08}.djfl"
    assert LogKeeper(world.store).close_segments() == 0


def test_a_segment_stays_open_until_the_index_has_it(world):
    fill(world)
    closed = LogKeeper(world.store).close_segments()
    for number in range(100, 160):
        world.file(b"%d" % number, b"")
    assert LogKeeper(world.store).close_segments() == 0
    world.store.syncer.flush()
    assert LogKeeper(world.store).close_segments() > closed // 2


def test_a_store_with_closed_segments_is_as_before(world):
    fill(world)
    LogKeeper(world.store).close_segments()
    tables, live = world.tables(), world.live()
    for without_index in (False, True):
        world.reopen(without_index=without_index)
        assert (world.tables(), world.live()) == (tables, live)
    fill(world, first=100)
    LogKeeper(world.store).close_segments()
    tables = world.tables()
    world.reopen(without_index=True)
    assert world.tables() == tables


def test_a_segment_can_be_ended_before_it_is_full(world):
    fill(world, 2)
    with world.store.guard:
        world.store.log.roll(world.clock())
    world.store.syncer.flush()
    assert LogKeeper(world.store).close_segments() == 1
    assert names(world) == ["00000001.djfl.zst", "00000002.djfl"]
    tables = world.tables()
    world.reopen()
    fill(world, 1, first=7)
    world.reopen(without_index=True)
    assert len(world.tables()["inode"]) == len(tables["inode"]) + 1


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not here")
def test_the_system_reads_a_closed_segment(world):
    fill(world)
    plain = Path(world.layout.lookup_segment(1)).read_bytes()
    LogKeeper(world.store).close_segments()
    command = ["zstd", "-qdc", world.layout.closed_lookup_segment(1)]
    inflated = subprocess.run(command, check=True, capture_output=True).stdout
    assert inflated == plain
    assert [json.loads(line)["seq"] for line in inflated.splitlines()][:3] == [1, 2, 3]


def test_a_crash_between_any_two_steps_loses_nothing(tmp_path):
    host = CopyingHost()
    world = SmallStore(tmp_path / "store", host)
    fill(world, 30)
    tables = world.tables()
    host.root, host.target = world.path, tmp_path / "copies"
    assert LogKeeper(world.store).close_segments()
    host.target = None
    world.close()
    assert {"lookup-close.create", "lookup-close.write", "lookup-close.sync",
            "lookup-close.rename", "lookup-close.unlink"} <= set(host.steps)  # fmt: skip
    for number, step in enumerate(host.steps):
        copy = SmallStore(tmp_path / "copies" / f"{number:03}-{step}")
        assert copy.tables() == tables, step
        LogKeeper(copy.store).close_segments()
        assert not [name for name in names(copy) if name.endswith(".tmp")]
        copy.reopen(without_index=True)
        assert copy.tables() == tables, step
        copy.close()
        validate(copy.path)


def test_what_does_not_read_back_leaves_the_plain_segment(world, monkeypatch):
    fill(world)
    monkeypatch.setattr(log_closing, "_same", lambda plain, closed: False)
    with pytest.raises(LookupLogDamageError, match="does not read back"):
        LogKeeper(world.store).close_segments()
    assert "00000001.djfl" in names(world)


@pytest.mark.parametrize("place", [20, -3])
def test_a_copy_that_differs_is_noticed(tmp_path, place):
    plain, closed = tmp_path / "plain", tmp_path / "closed"
    plain.write_bytes(bytes(range(256)) * 9000)
    other = bytearray(plain.read_bytes())
    other[place] ^= 1
    import zstandard

    for content, same in ((plain.read_bytes(), True), (bytes(other), False), (b"", False),
                          (plain.read_bytes() + b"x", False)):  # fmt: skip
        closed.write_bytes(zstandard.compress(content))
        assert log_closing._same(str(plain), str(closed)) is same
    damaged = bytearray(zstandard.compress(plain.read_bytes()))
    closed.write_bytes(damaged[:-10])
    assert not log_closing._same(str(plain), str(closed))
