"""``live/``: the kernel's operations on inodes of the live tree, whatever their names.

Runs under the store's guard on the answering thread; what may block is deferred. Whether the
caller may do it has been decided by the kernel (``default_permissions``).
"""

from __future__ import annotations

import errno

from djafs.extents import PART
from djafs.fuse import FOREVER, AttributesReply, Entry, Request, SetAttributes, flags
from djafs.model import Inode
from djafs.mounting.answers import attributes_of, refuse
from djafs.mounting.nodes import LookupCounts
from djafs.mounting.privileges import bare_mode, may_drop_bits
from djafs.store.store import Store

_LAST_TIME = (1 << 63) - 1  # nanoseconds: the year 2262

_DROPS = flags.FATTR_KILL_SUIDGID | flags.FATTR_UID | flags.FATTR_GID
# A SETATTR without any of these is a chown(2) that changes nobody, or one of the kernel's own
# that only drops set-id bits.
_CHANGES = ~(flags.FATTR_FH | flags.FATTR_LOCKOWNER)


class LiveOperations:
    """The operations on nodes that are inodes of the live tree."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.counts = LookupCounts()
        """What the kernel knows of inodes of the live tree."""

    def inode(self, ino: int) -> Inode:
        """Return the inode of a node (raises ESTALE)."""
        inode = self._store.inode(ino)
        if inode is None:
            refuse(errno.ESTALE)
        return inode

    def entry(self, inode: Inode) -> Entry:
        """Answer with an inode, and count that."""
        self.counts.add(inode.ino)
        stored = None if inode.size <= PART else self._store.stored(inode)
        return Entry(inode.ino, 0, attributes_of(inode, stored), FOREVER, FOREVER)

    def _answer(self, inode: Inode) -> AttributesReply:
        stored = None if inode.size <= PART else self._store.stored(inode)
        return AttributesReply(attributes_of(inode, stored), FOREVER)

    def forget(self, ino: int, count: int) -> None:
        """Let an inode without a name go with the last that the kernel knows of it."""
        if self.counts.forget(ino, count) and ino in self._store.tree.orphans:
            self._store.free(ino)

    def release(self, ino: int) -> None:
        """Let an inode go that has lost a name, if that was the last and nobody knows it."""
        if ino in self._store.tree.orphans and not self.counts.known(ino):
            self._store.free(ino)

    def getattr(self, request: Request, handle: int | None) -> AttributesReply:
        """Answer stat(2)."""
        return self._answer(self.inode(request.nodeid))

    def setattr(self, request: Request, changes: SetAttributes) -> AttributesReply:
        """Change attributes, the size among them."""
        ino, valid = request.nodeid, changes.valid
        inode = self.inode(ino)
        now = self._store.clock()
        mode = changes.mode & 0o7777 | inode.mode & ~0o7777 if valid & flags.FATTR_MODE else None
        if valid & _DROPS or not valid & _CHANGES:
            if not valid & _CHANGES and not may_drop_bits(request, inode):
                return self._answer(inode)
            mode = bare_mode(request, inode) if mode is None else mode
        atime = mtime = None
        if valid & flags.FATTR_ATIME:
            atime = now if valid & flags.FATTR_ATIME_NOW else _within_range(changes.atime)
        if valid & flags.FATTR_MTIME:
            mtime = now if valid & flags.FATTR_MTIME_NOW else _within_range(changes.mtime)
        self._store.setattr(
            ino,
            mode=mode,
            uid=changes.uid if valid & flags.FATTR_UID else None,
            gid=changes.gid if valid & flags.FATTR_GID else None,
            size=changes.size if valid & flags.FATTR_SIZE else None,
            atime=atime,
            mtime=mtime,
            now=now,
        )
        return self._answer(self.inode(ino))

    def statfs_files(self) -> int:
        """Return how many inode numbers were given so far."""
        return self._store.tree.next_ino


def _within_range(t: int) -> int:
    """Return the time nearest to ``t`` that can be kept, as ext4 does with its own range."""
    return max(-_LAST_TIME, min(t, _LAST_TIME))
