"""Listing directories while they change, removing large ones, and going down deep."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pytest

from rig.syscalls import Listing
from rig.twins import Site, Twins


def fill(directory: str | os.PathLike[str], count: int) -> set[str]:
    """Make ``count`` empty files."""
    os.makedirs(directory, exist_ok=True)
    names = {f"{number:05}" for number in range(count)}
    for name in sorted(names):
        os.close(os.open(os.path.join(directory, name), os.O_CREAT | os.O_WRONLY))
    return names


def test_telldir_and_seekdir_while_entries_come_and_go(twins: Twins):
    """What stays is listed once; a place that was told leads to where it did."""
    directory = twins.live / "d"
    names = fill(directory, 1200)
    dice = random.Random(1)
    listing = Listing(os.fspath(directory))
    places: dict[int, list[str]] = {}
    seen = []
    while True:
        place = listing.tell()
        name = listing.read()
        if name is None:
            break
        seen.append(name)
        places[place] = [name]
        if len(seen) % 10 == 0:
            (directory / f"new{len(seen)}").touch()
            victim = f"{dice.randrange(1200):05}"
            if victim in names:
                names.discard(victim)
                (directory / victim).unlink()
    assert names <= set(seen)
    assert len(seen) == len(set(seen))
    for place in dice.sample(sorted(places), 100):
        (name,) = places[place]
        if name in names:
            listing.seek(place)
            assert listing.read() == name
    listing.rewind()
    assert set(listing.rest()) - {".", ".."} == set(os.listdir(directory))
    listing.close()


@pytest.mark.parametrize("count", [100, 1500, 3000])
def test_a_listing_that_is_cached_goes_on_when_the_directory_changes(twins: Twins, count: int):
    """The kernel has the listing of a first reader; what follows a change comes from djafs."""
    directory = twins.live / "d"
    names = fill(directory, count)
    for turn in range(3):
        assert set(os.listdir(directory)) == names
        listing = Listing(os.fspath(directory))
        seen = [listing.read() for _ in range(50)]
        (directory / f"new{turn}").touch()
        names.add(f"new{turn}")
        with os.scandir(directory) as other:  # drops what was cached of the listing
            next(other)
        seen += listing.rest()
        assert names - {f"new{turn}"} <= set(seen)
        assert len(seen) == len(set(seen))
        listing.rewind()
        assert set(listing.rest()) == {*names, ".", ".."}
        listing.close()
    with os.scandir(directory) as entries:
        for entry in entries:
            os.unlink(entry.path)
    os.rmdir(directory)


def test_a_listing_ends_while_everything_in_it_is_renamed(twins: Twins):
    directory = twins.live / "d"
    fill(directory, 800)
    seen = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            os.rename(entry.path, entry.path + ".done")
            seen += 1
            assert seen <= 1600
    assert all(name.endswith(".done") for name in os.listdir(directory))


def test_removing_what_is_listed(twins: Twins):
    """As ``rm -rf`` does: each entry is removed as it is read."""
    for name in ("d/a", "d/b/c", "d"):
        fill(twins.live / name, 300)
    subprocess.run(["rm", "-rf", twins.live / "d"], check=True)
    assert os.listdir(twins.live) == []


def test_rm_rf_of_a_large_directory(twins: Twins):
    directory = twins.live / "d"
    directory.mkdir()
    first = directory / "0"
    first.touch()
    for number in range(1, 5000):
        os.link(first, directory / f"{number}")
    listed = os.listdir(directory)
    assert len(listed) == len(set(listed)) == 5000
    subprocess.run(["rm", "-rf", directory], check=True)
    assert os.listdir(twins.live) == []


def test_deeper_than_a_thousand_levels(twins: Twins):
    def scenario(at: Site) -> None:
        for _ in range(1100):
            os.mkdir("d")
            os.chdir("d")
        at.make("f", b"deep")
        at.content("f")
        assert len(os.getcwd()) > 2200
        for _ in range(1100):
            os.chdir("..")
        at.note(repr(os.listdir(".")))

    notes = twins.both_without_comparing(scenario)
    assert notes
    for root in (twins.live, twins.plain):
        found = subprocess.run(
            ["find", ".", "-name", "f"], cwd=root, check=True, capture_output=True
        )
        assert found.stdout.count(b"/d") == 1100
        os.rename(root / "d", root / "moved")
        subprocess.run(["rm", "-rf", root / "moved"], check=True)
        assert os.listdir(root) == []


def test_listing_says_types_and_numbers(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        at.mkdir("d", 0o755)
        at.mkfifo("p", 0o644)
        at.symlink("x", "l")
        at.mknod("s", 0o140644)
        for entry in sorted(os.scandir("."), key=lambda each: each.name):
            assert entry.inode() == os.lstat(entry.name).st_ino
            kinds = (entry.is_dir(follow_symlinks=False), entry.is_symlink())
            at.note(f"{entry.name} {kinds} {entry.is_file(follow_symlinks=False)}")
        os.chdir("d")
        assert (
            os.stat("..").st_ino
            == os.stat("../../" + os.path.basename(os.path.dirname(os.getcwd()))).st_ino
        )

    twins.both(scenario)


def test_rmdir(twins: Twins):
    def scenario(at: Site) -> None:
        at.call("makedirs", os.makedirs, "a/b")
        assert at.rmdir("a") == "ENOTEMPTY"
        assert at.rmdir("a/b/.") == "EINVAL"
        assert at.rmdir("a/b/..") == "ENOTEMPTY"
        assert at.unlink("a") == "EISDIR"
        at.make("f")
        assert at.rmdir("f") == "ENOTDIR"
        at.symlink("a", "l")
        assert at.rmdir("l") == "ENOTDIR"
        assert at.rmdir("l/") == "ENOTDIR"
        assert at.rmdir("a/b") is None
        assert at.rmdir("a") is None
        os.mkdir("here")
        os.chdir("here")
        assert at.rmdir("../here") is None
        assert at.getcwd() == "ENOENT"
        assert at.mkdir("x", 0o755) == "ENOENT"
        os.chdir("..")

    twins.both(scenario)


@pytest.mark.parametrize("count", [255, 256, 257, 513])
def test_every_entry_once_after_a_cold_start(twins: Twins, count: int):
    directory = twins.live / "d"
    names = fill(directory, count)
    for _ in range(3):
        listed = os.listdir(directory)
        assert sorted(listed) == sorted(names)
        with os.scandir(directory) as entries:
            assert sorted(entry.name for entry in entries if entry.stat().st_size == 0) == sorted(
                names
            )
    shutil.rmtree(directory)
