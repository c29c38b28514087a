"""Node numbers: what the kernel calls the things that it has been told of."""

from __future__ import annotations

from array import array

from djafs.fuse import ROOT_NODE

MOUNT_ROOT = ROOT_NODE
"""The directory that holds ``live`` and ``snapshots``."""

PAST = 1 << 48
"""From here on numbers are nodes of ``snapshots/``; below are inode numbers of ``live/``."""

_PAGE = 4096


class LookupCounts:
    """How often the kernel was told of each live inode, so that FORGET can say when it is done.

    Four bytes for each inode that the kernel knows, in pages of 4096 neighbours: a dictionary
    would take the memory of the whole daemon after a walk over a million files.
    """

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}
        self._used: dict[int, int] = {}  # inodes of a page that are known

    def add(self, ino: int) -> None:
        """Count one lookup."""
        number, place = divmod(ino, _PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = array("I", bytes(4 * _PAGE))
            self._used[number] = 0
        if not page[place]:
            self._used[number] += 1
        page[place] += 1

    def forget(self, ino: int, count: int) -> bool:
        """Take back ``count`` lookups; return whether none are left."""
        number, place = divmod(ino, _PAGE)
        page = self._pages.get(number)
        if page is None or not page[place]:
            return True
        page[place] = max(0, page[place] - count)
        if page[place]:
            return False
        self._used[number] -= 1
        if not self._used[number]:
            del self._pages[number], self._used[number]
        return True

    def known(self, ino: int) -> bool:
        """Return whether the kernel knows an inode."""
        number, place = divmod(ino, _PAGE)
        page = self._pages.get(number)
        return page is not None and page[place] > 0
