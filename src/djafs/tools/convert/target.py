"""What the store has under a name, before anything is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256

from djafs.disk.lost import NOWHERE
from djafs.extents import PART, Extent
from djafs.model import LIVE_ROOT, Inode
from djafs.store.tree import Listed, Tree

PAGE = 1024

Read = Callable[[int, int, int], bytes]
"""Reads a range of a live file: inode number, offset, length."""


class Target:
    """Questions to a live tree."""

    def __init__(self, tree: Tree, read: Read) -> None:
        self._tree = tree
        self._read = read

    def lookup(self, directory: int, name: bytes) -> Inode | None:
        """Return what a name is."""
        dentry = self._tree.dentry(directory, name)
        return self._tree.inode(dentry.ino) if dentry else None

    def inode(self, ino: int) -> Inode:
        """Return an inode that is there."""
        found = self._tree.inode(ino)
        assert found is not None
        return found

    def entries(self, directory: int) -> Iterator[Listed]:
        """Yield what a directory holds."""
        after = 0
        while page := self._tree.entries(directory, after, PAGE, plus=True):
            yield from page
            after = page[-1].cookie

    def paths(self, ino: int) -> Iterator[bytes]:
        """Yield the paths below ``live/`` of an inode, as far as the index knows."""
        index = self._tree.index
        for parent, name in index.names_of(ino):
            above = b"" if parent == LIVE_ROOT else index.path_of(parent)
            if above is not None:
                yield os.path.join(above, name)

    def digest(self, inode: Inode, number: int) -> bytes:
        """Return the SHA-256 of one part of a file (raises DamageError if it cannot be read)."""
        length = min(PART, inode.size - number * PART)
        extents = inode.extents
        if number:
            part = self._tree.part(inode.ino, number)
            extents = part.extents if part else []
        if len(extents) == 1:
            content = self._tree.content(extents[0].base) if not extents[0].segment else None
            is_whole = content and content.size == length and extents[0][:4] == _whole(length)
            if content and is_whole and content.archive != NOWHERE:
                return content.digest
        digest = sha256()
        step = 1 << 20
        for at in range(number * PART, number * PART + length, step):
            digest.update(self._read(inode.ino, at, min(step, number * PART + length - at)))
        return digest.digest()


def _whole(length: int) -> tuple[int, int, int, int]:
    extent = Extent(0, length, 0, 0, 0)
    return extent[:4]
