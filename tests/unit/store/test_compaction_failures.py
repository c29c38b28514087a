"""Compaction that is cut short, or that meets damage: nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import validate
from djafs.packing.plan import PackPlan, PackResult
from rig.near_packer import NearPacker
from rig.small_archives import document, fill
from rig.small_store import DAY, CopyingHost, SmallStore


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
