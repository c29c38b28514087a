"""djafs validate: damaged content is found, and named with the files that it affects."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from djafs.tools.validation.findings import Kind
from rig.dated_store import DAY, LIVE_B, OLD_B, World, flip, lines_of

# Archives


def test_a_damaged_frame_names_every_file_in_it(world: World):
    flip(world.layout.archive(1), 40)
    status, lines = lines_of(world.path)
    assert status == 4
    assert lines[0] == "error: archives/00000001.tar.zst: 2 problems"
    assert lines[1].startswith("    at byte 0: frame 0 cannot be inflated")
    assert lines[3:5] == ["    affects live/c.json", f"    affects {OLD_B}"]
    assert lines[5].startswith("    next: djafs validate -r repairs what can be")
    assert lines[5].endswith("or restore archives/00000001.tar.zst from a backup")
    assert lines[-1] == "1 error"


@pytest.mark.parametrize("keep", [0, 1, -1, -100])
def test_an_archive_that_is_cut_off(world: World, keep: int):
    path = world.layout.archive(1)
    os.truncate(path, keep if keep >= 0 else os.path.getsize(path) + keep)
    finding = world.only(Kind.ARCHIVE_DAMAGED)
    assert finding.affected == ["live/c.json", OLD_B]


def test_a_missing_archive(world: World):
    os.unlink(world.layout.archive(1))
    finding = world.only(Kind.ARCHIVE_MISSING)
    assert (finding.where, finding.what) == ("archives/00000001.tar.zst", "it is missing")
    assert finding.affected == ["live/c.json", OLD_B]


def test_an_archive_that_is_another_one(world: World, tmp_path: Path):
    other = World(tmp_path / "other")
    other.close()
    for path in (world.layout.archive(1), world.layout.archive_metadata(1)):
        os.unlink(path)
    other.open()
    other.now += DAY
    other.write(other.c, b"x" * 5000)
    other.collect()
    other.close()
    shutil.copy(other.layout.archive(2), world.layout.archive(1))
    shutil.copy(other.layout.archive_metadata(2), world.layout.archive_metadata(1))
    finding = world.only(Kind.ARCHIVE_DAMAGED)
    assert finding.affected == ["live/c.json", OLD_B]


@pytest.mark.parametrize("key", ["members", "content_bytes", "sha256", "archive", "newest_ns"])
def test_metadata_that_is_not_true(world: World, key: str):
    path = Path(world.layout.archive_metadata(1))
    keys = json.loads(path.read_bytes())
    keys[key] = "0" * 64 if key == "sha256" else keys[key] + 1
    path.write_bytes(json.dumps(keys, indent=2).encode() + b"\n")
    assert world.only(Kind.METADATA).affected == []


def test_metadata_that_is_missing_or_garbage(world: World):
    path = Path(world.layout.archive_metadata(1))
    path.write_bytes(b"\xff{")
    assert world.only(Kind.METADATA).where == "archives/00000001.djfm"
    path.unlink()
    assert world.only(Kind.METADATA).what == "it is missing"


# Hot cache


def test_hot_content_that_fails_its_checksum(world: World):
    number = max(int(name[:8]) for name in os.listdir(world.layout.hot))
    path = world.layout.hot_segment(number)
    flip(path, 6000 + 70_000)  # in the second 64 KiB of hot.json
    finding = world.only(Kind.HOT)
    assert finding.affected == ["live/hot.json"]
    assert finding.what == "bytes 71536 to 137072 fail their checksum"
    os.truncate(path, 5999)
    assert world.only(Kind.HOT).affected == [LIVE_B, "live/hot.json"]
    os.unlink(path)
    finding = world.only(Kind.HOT)
    assert (finding.what, finding.affected) == ("it is missing", [LIVE_B, "live/hot.json"])


def test_hot_content_of_a_past_day(open_world: World):
    open_world.now += DAY
    open_world.write(open_world.hot, b"new")
    open_world.close()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    flip(open_world.layout.hot_segment(number), 6000)
    assert open_world.only(Kind.HOT).affected == ["snapshots/2026/09/21/hot.json"]
    open_world.open()


def test_a_part_of_a_large_file_now_and_in_the_past(open_world: World):
    size = 16 << 20
    big = open_world.file(2, b"big", b"x" * 10)
    open_world.store.write(big, size, b"y" * 10)
    open_world.store.write(big, 2 * size, b"z" * 10)
    open_world.store.syncer.flush()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    path = open_world.layout.hot_segment(number)
    at = os.path.getsize(path) - 20
    open_world.now += DAY
    open_world.store.write(big, size, b"Y" * 10)
    open_world.store.syncer.flush()
    flip(path, at)
    assert open_world.only(Kind.HOT).affected == ["snapshots/2026/09/21/big"]
    flip(path, at)
    flip(path, at + 10)
    assert open_world.only(Kind.HOT).affected == ["live/big", "snapshots/2026/09/21/big"]
    flip(path, at + 10)


# Names


def test_every_name_of_a_file_is_named(open_world: World):
    store = open_world.store
    store.link(open_world.hot, open_world.directory, b"link \xff\n")
    store.rename(2, b"hot.json", 2, "hört.json".encode())
    open_world.now += DAY
    store.rename(2, b"a", 2, b"renamed")
    store.syncer.flush()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    path = open_world.layout.hot_segment(number)
    flip(path, 6000)
    _, lines = lines_of(open_world.path)
    assert [line for line in lines if "affects" in line] == [
        "    affects live/hört.json",
        "    affects live/renamed/link \\xff\\n",
    ]
    flip(path, 6000)


def test_a_file_in_a_directory_that_was_renamed_later(world: World):
    world.open()
    world.now += DAY
    world.store.rename(2, b"a", 2, b"renamed")
    world.close()
    flip(world.layout.archive(1), 40)
    assert world.only(Kind.ARCHIVE_DAMAGED).affected == ["live/c.json", OLD_B]
