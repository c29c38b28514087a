"""``live/``: the kernel's listings of directories, as in :mod:`djafs.mounting.live`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from djafs.extents import PART
from djafs.fuse import FOREVER, DirectoryEntry, Entry, Opened, Request, flags
from djafs.model import FIRST_COOKIE
from djafs.mounting.answers import attributes_of, attributes_of_row
from djafs.mounting.interest import Interest
from djafs.mounting.live import LiveOperations
from djafs.mounting.nodes import MOUNT_ROOT
from djafs.store.store import Store
from djafs.store.tree import Listed

PAGE = 256
"""Entries asked of the store at a time."""

_DOT, _DOTDOT = 1, 2  # cookies

_entry, _directory_entry = Entry._make, DirectoryEntry._make


class ListingOperations:
    """The operations on open directories of the live tree."""

    def __init__(self, store: Store, live: LiveOperations, interest: Interest) -> None:
        self._store = store
        self._live = live
        self._interest = interest
        # Of open directories: the last cookie to be listed, and where the last page began.
        self._handles: dict[int, tuple[int, int]] = {}
        self._listing: dict[int, set[int]] = {}  # by directory: those that list it
        self._next_handle = 1

    def opendir(self, request: Request, flags_: int) -> Opened:
        """Open a directory; its listing may be cached, for the kernel sees every change.

        But by one program at a time: a listing that another one has begun would go on in the newer
        one in the cache, and show again what was renamed meanwhile. O_NONBLOCK is how opendir(3)
        opens, and who opens otherwise may never list.
        """
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = (self._last(), 0)
        listing = self._listing.setdefault(request.nodeid, set())
        alone = not listing
        if flags_ & os.O_NONBLOCK:
            listing.add(handle)
        return Opened(handle, flags.FOPEN_CACHE_DIR | flags.FOPEN_KEEP_CACHE if alone else 0)

    def releasedir(self, request: Request, handle: int) -> None:
        """Close a directory."""
        self._handles.pop(handle, None)
        listing = self._listing.get(request.nodeid)
        if listing is not None:
            listing.discard(handle)
            if not listing:
                del self._listing[request.nodeid]

    def readdir(
        self, request: Request, handle: int, offset: int, size: int, plus: bool
    ) -> Iterator[DirectoryEntry]:
        """List entries behind cookie ``offset``.

        What was renamed while a listing is under way comes to stand at its end: listing stops at
        what was last when it began, or a program that renames what it lists would never end. The
        first that is seen of a listing may be its middle, as the kernel has cached what is before:
        what was renamed since it was opened may stand in that part already.
        """
        inode = self._live.inode(request.nodeid)
        last, began = self._handles.get(handle, (0, 0))
        if not last or not offset or offset < began:
            last = self._last()
        self._handles[handle] = (last, offset)
        self._listing.setdefault(request.nodeid, set()).add(handle)
        if offset < _DOT:
            yield DirectoryEntry(b".", inode.ino, _DOT, stat.S_IFDIR)
        if offset < _DOTDOT:
            parent = inode.parent or MOUNT_ROOT
            yield DirectoryEntry(b"..", parent, _DOTDOT, stat.S_IFDIR)
        behind = max(offset, _DOTDOT)
        # Behind the beginning the kernel asks for attributes only when some were looked up.
        bare = plus and not offset and not self._interest.wants_attributes(request.pid)
        for listed in self._entries(inode.ino, behind, size, plus, bare):
            cookie, name, ino, mode, held = listed
            if cookie > last:
                return
            if held is None:
                if mode:
                    yield _directory_entry((name, ino, cookie, mode, None))
                continue
            attributes = attributes_of_row(held) if isinstance(held, tuple) else None
            if attributes is None:
                child = listed.inode
                assert child is not None  # it is held
                stored = None if child.size <= PART else self._store.stored(child)
                attributes = attributes_of(child, stored)
            entry = _entry((ino, 0, attributes, FOREVER, FOREVER))
            yield _directory_entry((name, ino, cookie, mode, entry))
            self._live.counts.add(ino)  # reached for entries that were sent only

    def _last(self) -> int:
        """Return the largest cookie that anything has by now."""
        return FIRST_COOKIE + 2 * self._store.log.seq + 1

    def _entries(self, ino: int, after: int, size: int, plus: bool, bare: bool) -> Iterator[Listed]:
        limit = max(1, min(PAGE, size // (160 if plus else 32)))
        entries = self._store.tree.entries
        while True:
            page = entries(ino, after, limit, plus and not bare)
            if bare and any(stat.S_ISDIR(listed.mode) for listed in page):
                page = entries(ino, after, limit, plus)  # who goes into each would look it up
            yield from page
            if len(page) < limit:
                return
            after = page[-1].cookie
