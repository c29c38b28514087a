"""Who gets attributes with the names of a directory."""

from __future__ import annotations

import stat

from djafs.fuse import DirectoryEntry, Request
from djafs.mounting.interest import LONGEST_PAUSE, MOST, Interest
from djafs.mounting.listing import ListingOperations
from djafs.mounting.live import LiveOperations
from djafs.mounting.names import NameOperations
from rig.small_store import ROOT, SmallStore

THREAD = 7


def listings(interest: Interest, number: int, *, looks: bool) -> list[bool]:
    """List directories as one that ``looks`` at each file, or does not; say what it got."""
    got = []
    for _ in range(number):
        got.append(interest.wants_attributes(THREAD))
        if looks and not got[-1]:
            interest.asked(THREAD)
    return got


def test_the_first_listing_has_attributes() -> None:
    """For it is the only one of many programs, such as ls -l."""
    assert listings(Interest(), 1, looks=False) == [True]


def test_who_looks_at_names_alone_soon_gets_no_more() -> None:
    got = listings(Interest(), 100, looks=False)
    assert got == [True, True] + [False] * 98


def test_who_looks_at_every_file_is_seldom_tried() -> None:
    got = listings(Interest(), 1000, looks=True)
    assert got.count(False) <= 1000 // LONGEST_PAUSE + 7


def test_who_begins_to_look_gets_attributes_again() -> None:
    interest = Interest()
    listings(interest, 10, looks=False)
    interest.asked(THREAD)
    assert listings(interest, 1, looks=True) == [True]


def test_threads_are_known_apart() -> None:
    interest = Interest()
    listings(interest, 10, looks=False)
    assert interest.wants_attributes(THREAD + 1)
    interest.asked(THREAD + 1)
    assert not interest.wants_attributes(THREAD)


def test_so_many_threads_are_known() -> None:
    interest = Interest()
    listings(interest, 10, looks=False)
    for pid in range(1000, 1000 + MOST):
        interest.wants_attributes(pid)
    assert interest.wants_attributes(THREAD)  # forgotten
    interest.asked(99)  # of whom nothing is known


class Mount:
    """A store as the kernel asks it, on behalf of one thread."""

    def __init__(self, world: SmallStore) -> None:
        interest, live = Interest(), LiveOperations(world.store)
        self.world = world
        self.names = NameOperations(world.store, live, interest)
        self.listing = ListingOperations(world.store, live, interest)
        self.request = Request()
        self.request.pid = THREAD

    def entries(self, ino: int, offset: int = 0) -> list[DirectoryEntry]:
        """List a directory with attributes, without its dots."""
        self.request.nodeid = ino
        with self.world.store.guard:
            handle = self.listing.opendir(self.request, 0).handle
            found = list(self.listing.readdir(self.request, handle, offset, 1 << 15, plus=True))
            self.listing.releasedir(self.request, handle)
        return [entry for entry in found if entry.name not in (b".", b"..")]

    def lookup(self, ino: int, name: bytes) -> None:
        self.request.nodeid = ino
        with self.world.store.guard:
            self.names.lookup(self.request, name)


def attributes(entries: list[DirectoryEntry]) -> list[bool]:
    return [entry.entry is not None for entry in entries]


def test_who_looks_at_names_alone_is_sent_names_alone(world: SmallStore) -> None:
    for number in range(5):
        world.file(b"%d" % number, b"content")
    mount = Mount(world)
    listed = [mount.entries(ROOT) for _ in range(5)]
    assert [attributes(entries) for entries in listed] == [[True] * 5] * 2 + [[False] * 5] * 3
    for entries in listed:
        assert [entry.name for entry in entries] == [b"%d" % number for number in range(5)]
        assert all(stat.S_ISREG(entry.type) for entry in entries)
    assert attributes(mount.entries(ROOT, offset=listed[0][1].cookie)) == [True] * 3
    mount.lookup(ROOT, b"3")
    assert attributes(mount.entries(ROOT)) == [True] * 5


def test_directories_come_with_attributes(world: SmallStore) -> None:
    """For whoever walks a tree goes on into each."""
    world.file(b"file", b"content")
    with world.store.guard:
        directory = world.store.create(ROOT, b"directory", 0o040755, 0, 0).ino
    mount = Mount(world)
    for _ in range(5):
        assert attributes(mount.entries(ROOT)) == [True] * 2
    mount.lookup(ROOT, b"directory")  # which says nothing about files
    world.file(b"inside", b"content", parent=directory)
    assert attributes(mount.entries(directory)) == [False]
