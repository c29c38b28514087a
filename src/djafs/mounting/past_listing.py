"""``snapshots/``: the kernel's listings of directories, as in :mod:`djafs.mounting.past`.

Attributes are not listed: names are valid for no time at all, so each is looked up when it is used.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import islice

from djafs.fuse import Deferred, DirectoryEntry, Opened, Request
from djafs.model import LIVE_ROOT
from djafs.mounting.answers import refuse
from djafs.mounting.nodes import MOUNT_ROOT, PAST
from djafs.mounting.past import LATEST, SNAPSHOTS, PastOperations, State, Virtual, number_in
from djafs.store.snapshots import Place
from djafs.store.store import Store
from djafs.store.tree import Listed

PAGE = 256
"""Entries asked of the store at a time."""

_DOT, _DOTDOT = 1, 2  # cookies
_PAST_NAMES = 1 << 62
"""Cookies from here on number the names that are not listed in the order of the live tree."""

_directory_entry = DirectoryEntry._make

Pages = Callable[[Place, int], list[Listed]]
"""Returns up to so many entries behind a place."""


class _Listing:
    """An open directory, so that its listing can be gone on with at any place."""

    __slots__ = ("names", "runs")

    def __init__(self) -> None:
        self.names: list[tuple[bytes, int]] = []  # of a virtual directory: (name, inode number)
        self.runs = [b""]  # behind which name each run of PAGE past names begins


class PastListing:
    """The operations on open directories of the past."""

    def __init__(self, store: Store, past: PastOperations) -> None:
        self._store = store
        self._past = past
        self._listings: dict[int, _Listing] = {}
        self._next_handle = 1

    def opendir(self, request: Request) -> Opened:
        """Open a directory; nothing of its listing may be cached."""
        handle = self._next_handle
        self._next_handle += 1
        self._listings[handle] = _Listing()
        return Opened(handle, 0)

    def releasedir(self, handle: int) -> None:
        """Close a directory."""
        self._listings.pop(handle, None)

    def readdir(
        self, request: Request, handle: int, offset: int, size: int, plus: bool
    ) -> Iterable[DirectoryEntry] | Deferred:
        """List entries behind cookie ``offset``."""
        listing = self._listings.get(handle)
        if listing is None:
            refuse(errno.EBADF)
        if request.nodeid == MOUNT_ROOT:
            return _plain([(b"live", LIVE_ROOT), (b"snapshots", SNAPSHOTS)], offset)
        what = self._past.node(request.nodeid)
        most = max(1, size // (160 if plus else 32))  # entries that fit
        entries = self._entries(what, listing, offset, most)
        if (isinstance(what, State) and what.day == LATEST) or not self._store.syncer.behind():
            return entries

        def later() -> list[DirectoryEntry]:
            self._store.syncer.catch_up()
            return list(islice(entries, most))

        return Deferred(later)

    def _entries(
        self, what: Virtual | State, listing: _Listing, offset: int, most: int
    ) -> Iterator[DirectoryEntry]:
        if isinstance(what, Virtual):
            if not offset:
                listing.names = [(name, PAST) for name in self._dates(what.path)]
            yield from _plain(listing.names, offset)
            return
        if offset < _DOTDOT:
            del listing.runs[1:]
            yield from _plain([], offset)
        yield from self._behind(what, listing, offset, min(most, PAGE))

    def _behind(
        self, what: State, listing: _Listing, offset: int, limit: int
    ) -> Iterator[DirectoryEntry]:
        """List names: those of the live tree have their cookies there, others are numbered."""
        first, pages, runs = number_in(what.day, 0), self._pages(what), listing.runs
        place, past = Place(offset), 0
        if offset > _PAST_NAMES:
            run = min((offset - _PAST_NAMES) // PAGE, len(runs) - 1)
            place, past = Place(0, runs[run]), run * PAGE
        while True:
            page = pages(place, limit)
            for cookie, name, ino, mode, _ in page:
                if cookie:
                    if mode:
                        yield _directory_entry((name, first | ino, cookie, mode, None))
                    continue
                past += 1
                if past == PAGE * len(runs):
                    runs.append(name)
                if past > offset - _PAST_NAMES:
                    yield DirectoryEntry(name, first | ino, _PAST_NAMES + past, mode)
            if len(page) < limit:
                return
            place = Place(0, page[-1].name) if past else Place(page[-1].cookie)

    def _pages(self, what: State) -> Pages:
        day, ino = what.day, what.inode.ino
        if day == LATEST:
            entries = self._store.tree.entries
            return lambda place, limit: entries(ino, place.cookie, limit, plus=False)
        names = self._store.snapshots.names
        return lambda place, limit: names(ino, place, limit, day)

    def _dates(self, path: tuple[int, ...]) -> list[bytes]:
        """Return the names below ``snapshots/`` + ``path``: days that saw a change."""
        today = self._past.today()
        days = [date.fromordinal(day) for day in self._store.snapshots.days() if day <= today]
        if not path:
            return [b"latest", *sorted({b"%04d" % day.year for day in days})]
        if len(path) == 1:
            return sorted({b"%02d" % day.month for day in days if day.year == path[0]})
        return [b"%02d" % day.day for day in days if (day.year, day.month) == path]


def _plain(names: list[tuple[bytes, int]], offset: int) -> list[DirectoryEntry]:
    """List directories by their ordinal number, ``.`` and ``..`` first."""
    every = [(b".", PAST), (b"..", PAST), *names]
    return [
        DirectoryEntry(name, ino, place, stat.S_IFDIR)
        for place, (name, ino) in enumerate(every, 1)
        if place > offset
    ]
