"""``live/``: the operations of the kernel on the live tree.

Runs under the store's guard on the answering thread; what may block is deferred. Whether the
caller may do it has been decided by the kernel (``default_permissions``).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from typing import NoReturn

from djafs.extents import PART
from djafs.fuse import (
    FOREVER,
    Attributes,
    AttributesReply,
    Created,
    DirectoryEntry,
    Entry,
    Opened,
    Request,
    SetAttributes,
    flags,
    negative_entry,
)
from djafs.model import FIRST_COOKIE, LIVE_ROOT, Inode
from djafs.mounting.nodes import MOUNT_ROOT, LookupCounts
from djafs.mounting.privileges import bare_mode, is_in_group
from djafs.store.store import Store
from djafs.store.tree import Listed

NAME_MAX = 255
LINK_MAX = 65000  # of anything but a directory, as ext4
PAGE = 256  # entries asked of the store at a time

_LAST_TIME = (1 << 63) - 1  # nanoseconds: the year 2262

_NO_NAME = negative_entry(FOREVER)
_DOT, _DOTDOT = 1, 2  # cookies
_SETGID_RUN = stat.S_ISGID | stat.S_IXGRP
_DROPS = flags.FATTR_KILL_SUIDGID | flags.FATTR_UID | flags.FATTR_GID
# A SETATTR without any of these is a chown(2) that changes nobody, or one of the kernel's own
# that only drops set-id bits.
_CHANGES = ~(flags.FATTR_FH | flags.FATTR_LOCKOWNER)


def refuse(number: int) -> NoReturn:
    """Raise the OSError that the caller will see."""
    raise OSError(number, os.strerror(number))


def attributes_of(inode: Inode, stored: int | None = None) -> Attributes:
    """Return what stat(2) shows of an inode; ``stored`` is how many bytes its extents hold.

    Without ``stored`` a file in several parts counts as free of holes.
    """
    mode, size = inode.mode, inode.size
    extents = inode.extents
    if stored is None:
        if size > PART:
            stored = size
        elif len(extents) == 1:
            stored = extents[0].length
        else:
            stored = sum(extent.length for extent in extents)
    if mode & 0o170000 == stat.S_IFDIR:
        size = stored = 4096
    return Attributes(
        inode.ino,
        size,
        (stored + 4095) >> 12 << 3,
        inode.atime,
        inode.mtime,
        inode.ctime,
        mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.rdev,
    )


def _within_range(t: int) -> int:
    """Return the time nearest to ``t`` that can be kept, as ext4 does with its own range."""
    return max(-_LAST_TIME, min(t, _LAST_TIME))


class LiveOperations:
    """The operations on nodes that are inodes of the live tree."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts = LookupCounts()
        self._absent: tuple[int, bytes] = (0, b"")  # the name that LOOKUP last did not find
        # Of open directories: the last cookie to be listed, and where the last page began.
        self._handles: dict[int, tuple[int, int]] = {}
        self._next_handle = 1
        self.created = Opened(0, 0)
        self.above = negative_entry(0)  # the directory that ``live`` is in

    # Nodes

    def inode(self, ino: int) -> Inode:
        """Return the inode of a node (raises ESTALE)."""
        inode = self._store.inode(ino)
        if inode is None:
            refuse(errno.ESTALE)
        return inode

    def entry(self, inode: Inode) -> Entry:
        """Answer with an inode, and count that."""
        self._counts.add(inode.ino)
        stored = None if inode.size <= PART else self._store.stored(inode)
        return Entry(inode.ino, 0, attributes_of(inode, stored), FOREVER, FOREVER)

    def _answer(self, inode: Inode) -> AttributesReply:
        stored = None if inode.size <= PART else self._store.stored(inode)
        return AttributesReply(attributes_of(inode, stored), FOREVER)

    def forget(self, ino: int, count: int) -> None:
        """Let an inode without a name go with the last that the kernel knows of it."""
        if self._counts.forget(ino, count) and ino in self._store.tree.orphans:
            self._store.free(ino)

    def lookup(self, request: Request, name: bytes) -> Entry:
        """Find a name; that there is none may be cached, for nobody else changes the tree."""
        if len(name) > NAME_MAX:
            refuse(errno.ENAMETOOLONG)
        store = self._store
        dentry = store.dentry(request.nodeid, name)
        if dentry is None:
            if name in (b".", b".."):
                return self._lookup_dots(request.nodeid, name)
            self._absent = (request.nodeid, name)
            return _NO_NAME
        return self.entry(self.inode(dentry.ino))

    def _lookup_dots(self, ino: int, name: bytes) -> Entry:
        """Find a node by its number, or its parent: for file handles, as NFS uses them.

        Numbers are never given twice, so a handle is good for as long as its file is.
        """
        inode = self.inode(ino)
        if name == b".":
            return self.entry(inode)
        if not inode.is_directory or not inode.nlink:
            refuse(errno.ESTALE)
        return self.entry(self.inode(inode.parent)) if inode.parent else self.above

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

    # Names

    def _new(
        self,
        request: Request,
        name: bytes,
        mode: int,
        rdev: int = 0,
        target: bytes | None = None,
    ) -> Inode:
        parent = self._parent(request.nodeid, name)
        gid = request.gid
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
            elif mode & _SETGID_RUN == _SETGID_RUN and not is_in_group(request, gid):
                mode &= ~stat.S_ISGID  # Linux before 6.0 leaves this to the filesystem
        self._absent = (0, b"")
        return self._store.create(parent.ino, name, mode, request.uid, gid, rdev, target)

    def _parent(self, ino: int, name: bytes) -> Inode:
        """Return the directory in which ``name`` may be made."""
        if len(name) > NAME_MAX:
            refuse(errno.ENAMETOOLONG)
        parent = self.inode(ino)
        if not parent.nlink:
            refuse(errno.ENOENT)
        if self._absent != (ino, name) and self._store.dentry(ino, name) is not None:
            refuse(errno.EEXIST)
        return parent

    def create(
        self, request: Request, name: bytes, flags_: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        """Make a regular file and open it."""
        mode = stat.S_IFREG | mode & 0o7777
        return Created(self.entry(self._new(request, name, mode)), self.created)

    def mknod(self, request: Request, name: bytes, mode: int, rdev: int, umask: int) -> Entry:
        """Make a file of any type but directory and symlink."""
        return self.entry(self._new(request, name, mode, rdev))

    def mkdir(self, request: Request, name: bytes, mode: int, umask: int) -> Entry:
        """Make a directory."""
        return self.entry(self._new(request, name, stat.S_IFDIR | mode & 0o7777))

    def symlink(self, request: Request, name: bytes, target: bytes) -> Entry:
        """Make a symbolic link."""
        return self.entry(self._new(request, name, stat.S_IFLNK | 0o777, 0, target))

    def tmpfile(
        self, request: Request, name: bytes, flags_: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        """Make a regular file without a name (O_TMPFILE)."""
        parent = self.inode(request.nodeid)
        gid = parent.gid if parent.mode & stat.S_ISGID else request.gid
        mode = stat.S_IFREG | mode & 0o7777
        inode = self._store.create(parent.ino, b"", mode, request.uid, gid)
        return Created(self.entry(inode), self.created)

    def readlink(self, request: Request) -> bytes:
        """Return the target of a symbolic link."""
        target = self.inode(request.nodeid).target
        if target is None:
            refuse(errno.EINVAL)
        return target

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry:
        """Give an inode a further name in the directory asked about."""
        inode = self.inode(nodeid)
        self._parent(request.nodeid, new_name)
        if inode.is_directory:
            refuse(errno.EPERM)
        if inode.nlink >= LINK_MAX:
            refuse(errno.EMLINK)
        self._absent = (0, b"")
        self._store.link(nodeid, request.nodeid, new_name)
        return self.entry(self.inode(nodeid))

    def unlink(self, request: Request, name: bytes) -> None:
        """Remove a name of anything but a directory."""
        dentry = self._store.dentry(request.nodeid, name)
        if dentry is None:
            refuse(errno.ENOENT)
        if self.inode(dentry.ino).is_directory:
            refuse(errno.EISDIR)
        self._store.unlink(request.nodeid, name)
        self._release(dentry.ino)

    def rmdir(self, request: Request, name: bytes) -> None:
        """Remove an empty directory."""
        dentry = self._store.dentry(request.nodeid, name)
        if dentry is None:
            refuse(errno.ENOENT)
        inode = self.inode(dentry.ino)
        if not inode.is_directory:
            refuse(errno.ENOTDIR)
        if inode.entries:
            refuse(errno.ENOTEMPTY)
        self._store.rmdir(request.nodeid, name)
        self._release(dentry.ino)

    def _release(self, ino: int) -> None:
        if ino in self._store.tree.orphans and not self._counts.known(ino):
            self._store.free(ino)

    def rename(
        self, request: Request, name: bytes, new_parent: int, new_name: bytes, flags_: int
    ) -> None:
        """Rename, replace (0), refuse to replace (1), or exchange (2)."""
        if flags_ not in (0, 1, 2):
            refuse(errno.EINVAL)
        if len(new_name) > NAME_MAX:
            refuse(errno.ENAMETOOLONG)
        store = self._store
        source = store.dentry(request.nodeid, name)
        if source is None:
            refuse(errno.ENOENT)
        heir = self.inode(new_parent)
        if not heir.nlink:
            refuse(errno.ENOENT)
        inode = self.inode(source.ino)
        taken = store.dentry(new_parent, new_name)
        other = self.inode(taken.ino) if taken else None
        self._check_rename(request.nodeid, inode, heir, other, flags_)
        if other is not None and other.ino == inode.ino:
            return
        self._absent = (0, b"")
        store.rename(request.nodeid, name, new_parent, new_name, exchange=flags_ == 2)
        if other is not None and flags_ != 2:
            self._release(other.ino)

    def _check_rename(
        self, parent: int, inode: Inode, heir: Inode, other: Inode | None, flags_: int
    ) -> None:
        if flags_ == 1 and other is not None:
            refuse(errno.EEXIST)
        if flags_ == 2 and other is None:
            refuse(errno.ENOENT)
        if inode.is_directory and self._is_below(heir, inode.ino):
            refuse(errno.EINVAL)
        if flags_ == 2:
            if other is not None and self._is_below(self.inode(parent), other.ino):
                refuse(errno.EINVAL)
            return
        self._check_replace(inode, other)

    def _check_replace(self, inode: Inode, other: Inode | None) -> None:
        if other is None:
            return
        if inode.is_directory:
            if not other.is_directory:
                refuse(errno.ENOTDIR)
            if other.entries:
                refuse(errno.ENOTEMPTY)
        elif other.is_directory:
            refuse(errno.EISDIR)

    def _is_below(self, directory: Inode, ino: int) -> bool:
        """Return whether ``directory`` is ``ino`` or lies below it."""
        while directory.ino != ino:
            if directory.ino == LIVE_ROOT or not directory.parent:
                return False
            directory = self.inode(directory.parent)
        return True

    # Directories

    def opendir(self, request: Request, flags_: int) -> Opened:
        """Open a directory; its listing may be cached, for the kernel sees every change."""
        handle = self._next_handle
        self._next_handle += 1
        return Opened(handle, flags.FOPEN_CACHE_DIR | flags.FOPEN_KEEP_CACHE)

    def releasedir(self, request: Request, handle: int) -> None:
        """Close a directory."""
        self._handles.pop(handle, None)

    def readdir(
        self, request: Request, handle: int, offset: int, size: int, plus: bool
    ) -> Iterator[DirectoryEntry]:
        """List entries behind cookie ``offset``.

        What was renamed while a listing is under way comes to stand at its end: listing stops at
        what was last when it began, or a program that renames what it lists would never end. The
        first that is seen of a listing may be its middle: the kernel has cached what is before.
        """
        inode = self.inode(request.nodeid)
        last, began = self._handles.get(handle, (0, 0))
        if not last or not offset or offset < began:
            last = FIRST_COOKIE + 2 * self._store.log.seq + 1
        self._handles[handle] = (last, offset)
        if offset < _DOT:
            yield DirectoryEntry(b".", inode.ino, _DOT, stat.S_IFDIR)
        if offset < _DOTDOT:
            parent = inode.parent or MOUNT_ROOT
            yield DirectoryEntry(b"..", parent, _DOTDOT, stat.S_IFDIR)
        for cookie, name, ino, child in self._entries(inode.ino, max(offset, _DOTDOT), size):
            if cookie > last:
                return
            if child is None:
                continue
            entry = None
            if plus:
                stored = None if child.size <= PART else self._store.stored(child)
                entry = Entry(ino, 0, attributes_of(child, stored), FOREVER, FOREVER)
            yield DirectoryEntry(name, ino, cookie, child.mode, entry)
            if plus:  # reached for entries that were sent only
                self._counts.add(ino)

    def _entries(self, ino: int, after: int, size: int) -> Iterator[Listed]:
        limit = max(1, min(PAGE, size // 160))
        while True:
            page = self._store.tree.entries(ino, after, limit, plus=True)
            yield from page
            if len(page) < limit:
                return
            after = page[-1].cookie
