"""``live/``: the kernel's operations on names, as in :mod:`djafs.mounting.live`."""

from __future__ import annotations

import errno
import stat

from djafs.fuse import FOREVER, Created, Entry, Opened, Request, negative_entry
from djafs.model import LIVE_ROOT, Inode
from djafs.mounting.answers import NAME_MAX, refuse
from djafs.mounting.interest import Interest
from djafs.mounting.live import LiveOperations
from djafs.mounting.privileges import is_in_group
from djafs.store.store import Store

LINK_MAX = 65000
"""Links that an inode may have, as on ext4; directories may have more."""

_NO_NAME = negative_entry(FOREVER)
_SETGID_RUN = stat.S_ISGID | stat.S_IXGRP


class NameOperations:
    """The operations on names of the live tree."""

    def __init__(self, store: Store, live: LiveOperations, interest: Interest) -> None:
        self._store = store
        self._live = live
        self._interest = interest
        self._absent: tuple[int, bytes] = (0, b"")  # the name that LOOKUP last did not find
        self.created = Opened(0, 0)
        self.above = negative_entry(0)  # the directory that ``live`` is in

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
        inode = self._live.inode(dentry.ino)
        if not inode.is_directory:
            self._interest.asked(request.pid)
        return self._live.entry(inode)

    def _lookup_dots(self, ino: int, name: bytes) -> Entry:
        """Find a node by its number, or its parent: for file handles, as NFS uses them.

        Numbers are never given twice, so a handle is good for as long as its file is.
        """
        inode = self._live.inode(ino)
        if name == b".":
            return self._live.entry(inode)
        if not inode.is_directory or not inode.nlink:
            refuse(errno.ESTALE)
        return self._live.entry(self._live.inode(inode.parent)) if inode.parent else self.above

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
        parent = self._live.inode(ino)
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
        return Created(self._live.entry(self._new(request, name, mode)), self.created)

    def mknod(self, request: Request, name: bytes, mode: int, rdev: int, umask: int) -> Entry:
        """Make a file of any type but directory and symlink."""
        return self._live.entry(self._new(request, name, mode, rdev))

    def mkdir(self, request: Request, name: bytes, mode: int, umask: int) -> Entry:
        """Make a directory."""
        return self._live.entry(self._new(request, name, stat.S_IFDIR | mode & 0o7777))

    def symlink(self, request: Request, name: bytes, target: bytes) -> Entry:
        """Make a symbolic link."""
        return self._live.entry(self._new(request, name, stat.S_IFLNK | 0o777, 0, target))

    def tmpfile(
        self, request: Request, name: bytes, flags_: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        """Make a regular file without a name (O_TMPFILE)."""
        parent = self._live.inode(request.nodeid)
        if not parent.nlink:
            refuse(errno.EPERM)  # removed: the errno of ext4
        gid = parent.gid if parent.mode & stat.S_ISGID else request.gid
        mode = stat.S_IFREG | mode & 0o7777
        inode = self._store.create(parent.ino, b"", mode, request.uid, gid)
        return Created(self._live.entry(inode), self.created)

    def readlink(self, request: Request) -> bytes:
        """Return the target of a symbolic link."""
        target = self._live.inode(request.nodeid).target
        if target is None:
            refuse(errno.EINVAL)
        return target

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry:
        """Give an inode a further name in the directory asked about."""
        inode = self._live.inode(nodeid)
        self._parent(request.nodeid, new_name)
        if inode.is_directory:
            refuse(errno.EPERM)
        if inode.nlink >= LINK_MAX:
            refuse(errno.EMLINK)
        self._absent = (0, b"")
        self._store.link(nodeid, request.nodeid, new_name)
        return self._live.entry(self._live.inode(nodeid))

    def unlink(self, request: Request, name: bytes) -> None:
        """Remove a name of anything but a directory."""
        dentry = self._store.dentry(request.nodeid, name)
        if dentry is None:
            refuse(errno.ENOENT)
        if self._live.inode(dentry.ino).is_directory:
            refuse(errno.EISDIR)
        self._store.unlink(request.nodeid, name)
        self._live.release(dentry.ino)

    def rmdir(self, request: Request, name: bytes) -> None:
        """Remove an empty directory."""
        dentry = self._store.dentry(request.nodeid, name)
        if dentry is None:
            refuse(errno.ENOENT)
        inode = self._live.inode(dentry.ino)
        if not inode.is_directory:
            refuse(errno.ENOTDIR)
        if inode.entries:
            refuse(errno.ENOTEMPTY)
        self._store.rmdir(request.nodeid, name)
        self._live.release(dentry.ino)

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
        heir = self._live.inode(new_parent)
        if not heir.nlink:
            refuse(errno.ENOENT)
        inode = self._live.inode(source.ino)
        taken = store.dentry(new_parent, new_name)
        other = self._live.inode(taken.ino) if taken else None
        self._check_rename(request.nodeid, inode, heir, other, flags_)
        if other is not None and other.ino == inode.ino:
            return
        self._absent = (0, b"")
        store.rename(request.nodeid, name, new_parent, new_name, exchange=flags_ == 2)
        if other is not None and flags_ != 2:
            self._live.release(other.ino)

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
            if other is not None and self._is_below(self._live.inode(parent), other.ino):
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
            directory = self._live.inode(directory.parent)
        return True
