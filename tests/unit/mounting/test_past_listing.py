"""Listing directories of the past: gone on with at any place, whatever arrives meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from djafs.fuse import Deferred, DirectoryEntry, Request
from djafs.model import LIVE_ROOT
from djafs.mounting.live import LiveOperations
from djafs.mounting.nodes import MOUNT_ROOT
from djafs.mounting.past import PastOperations
from djafs.mounting.past_listing import PAGE, PastListing
from djafs.mounting.reading import Reading
from djafs.store.store import Store

DAY = 86_400 * 10**9
OLD = 1_682_942_400 * 10**9  # 2023-05-01 12:00 UTC
GONE = 2 * PAGE + 10
KEPT = PAGE + 10

#: Room for many entries, for few, and for one at a time.
SIZES = [1 << 15, 4096, 200]


class Day:
    """The root of the snapshot of a day, listed as the kernel does it."""

    def __init__(self, store: Store, path: str) -> None:
        self.store = store
        self.past = PastOperations(store, LiveOperations(store), Reading(store.reads))
        self.listing = PastListing(store, self.past)
        self.request = Request()
        self.request.nodeid, self.request.uid, self.request.pid = MOUNT_ROOT, 0, os.getpid()
        for name in path.split("/"):
            entry = self.past.lookup(self.request, name.encode())
            if isinstance(entry, Deferred):
                entry = self._later(entry)
            self.request.nodeid = entry.nodeid
        self.handle = self.listing.opendir(self.request).handle

    def _later(self, deferred: Deferred):
        store = self.store
        store.guard.release()
        try:
            return deferred.function()
        finally:
            store.guard.acquire()

    def behind(self, cookie: int, size: int) -> list[DirectoryEntry]:
        """Return the entries behind a cookie that fit."""
        found = self.listing.readdir(self.request, self.handle, cookie, size, plus=False)
        if isinstance(found, Deferred):
            found = self._later(found)
        room = size
        fitting = []
        for entry in found:
            room -= (24 + len(entry.name) + 7) & ~7
            if room < 0:
                break
            fitting.append(entry)
        return fitting

    def listed(self, size: int, cookie: int = 0) -> list[DirectoryEntry]:
        """Return all entries behind a cookie."""
        every: list[DirectoryEntry] = []
        while page := self.behind(cookie, size):
            every += page
            cookie = page[-1].cookie
        return every


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store where names of an old day have been kept, and others removed since."""
    made = Store.open(str(tmp_path / "store"), create=True)
    with made.guard:
        now = made.clock()
        for number in range(KEPT):
            bring(made, b"kept %d" % number, OLD)
        for number in range(GONE):
            bring(made, b"gone %d" % number, OLD)
        made.clock = later(now + 2 * DAY)
        for number in range(GONE):
            made.unlink(LIVE_ROOT, b"gone %d" % number)
        bring(made, b"new", now)
        yield made
    made.close()


def later(now: int) -> Callable[[], int]:
    return lambda: now


def bring(store: Store, name: bytes, mtime: int) -> None:
    ino = store.create(LIVE_ROOT, name, 0o100644, 0, 0).ino
    store.setattr(ino, mtime=mtime)


def names_of(entries: list[DirectoryEntry]) -> list[bytes]:
    return [entry.name for entry in entries]


EVERY = {
    b".",
    b"..",
    *(b"kept %d" % n for n in range(KEPT)),
    *(b"gone %d" % n for n in range(GONE)),
}


@pytest.mark.parametrize("size", SIZES)
def test_every_name_is_listed_once_in_any_room(store: Store, size: int):
    day = Day(store, "snapshots/2023/05/01")
    names = names_of(day.listed(size))
    assert len(names) == len(EVERY)
    assert set(names) == EVERY


def test_a_listing_goes_on_behind_any_entry(store: Store):
    day = Day(store, "snapshots/2023/05/01")
    every = day.listed(1 << 15)
    cookies = [entry.cookie for entry in every]
    assert len(set(cookies)) == len(cookies)
    assert min(cookies) > 0
    assert max(cookies) < 1 << 63
    for place in (*range(4), *range(PAGE - 3, len(every), PAGE // 3), len(every) - 1):
        assert day.listed(1 << 15, cookies[place]) == every[place + 1 :]


def test_what_arrives_late_neither_hides_nor_repeats_what_is_kept(store: Store):
    day = Day(store, "snapshots/2023/05/01")
    begun = day.behind(0, 4096)
    for name in (b"kept 0", b"kept 1"):
        store.unlink(LIVE_ROOT, name)  # now listed behind those that are kept
    bring(store, b"late", OLD)
    names = names_of(begun + day.listed(4096, begun[-1].cookie))
    once = EVERY - {b"kept 0", b"kept 1"} | {b"late"}
    assert once <= set(names)
    assert len([name for name in names if name in once]) == len(once)
    assert set(names_of(day.listed(4096))) == EVERY | {b"late"}


def test_latest_is_listed_as_live_is(store: Store):
    day = Day(store, "snapshots/latest")
    kept = [b"kept %d" % number for number in range(KEPT)]
    assert names_of(day.listed(4096)) == [b".", b"..", *kept, b"new"]
    every = day.listed(1 << 15)
    assert day.listed(4096, every[9].cookie) == every[10:]


def test_days_are_listed_by_number(store: Store):
    assert names_of(Day(store, "snapshots/2023").listed(4096)) == [b".", b"..", b"05"]
    assert names_of(Day(store, "snapshots/2023/05").listed(60)) == [b".", b"..", b"01"]
