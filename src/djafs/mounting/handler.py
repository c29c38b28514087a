"""The filesystem as the kernel sees it: each operation goes to ``live/`` or to the past."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from djafs.fuse import (
    AttributesReply,
    Created,
    Deferred,
    DirectoryEntry,
    Entry,
    Handler,
    InitFlag,
    InitInfo,
    IoctlReply,
    Opened,
    Request,
    SetAttributes,
    Statfs,
    flags,
)
from djafs.mounting import control
from djafs.mounting.answers import refuse
from djafs.mounting.content import ContentOperations
from djafs.mounting.interest import Interest
from djafs.mounting.listing import ListingOperations
from djafs.mounting.live import LiveOperations
from djafs.mounting.names import NameOperations
from djafs.mounting.nodes import MOUNT_ROOT, PAST
from djafs.mounting.past import PastOperations
from djafs.mounting.past_listing import PastListing
from djafs.mounting.pressure import Pressure
from djafs.mounting.reading import Reading
from djafs.mounting.xattrs import XattrOperations
from djafs.store.store import Store

Commands = Mapping[int, Callable[[bytes], dict[str, Any]]]
"""What a command asks for by ioctl(2): takes its bytes, and returns the answer."""


class DjafsHandler(Handler):
    """Answers the kernel for one mounted store, under the store's guard."""

    def __init__(
        self,
        store: Store,
        commands: Commands,
        mounted: Callable[[], None],
        pressure: Pressure,
    ) -> None:
        self._store = store
        self._commands = commands
        self._mounted = mounted
        self._live = LiveOperations(store)
        interest = Interest()
        self._names = NameOperations(store, self._live, interest)
        self._listing = ListingOperations(store, self._live, interest)
        reading = Reading(store.reads)
        self._content = ContentOperations(store, self._live, reading, pressure)
        self._past = PastOperations(store, self._live, reading)
        self._past_listing = PastListing(store, self._past)
        self._xattrs = XattrOperations(store, self._live)

    def init(self, info: InitInfo) -> None:
        """Take what the kernel can do into account."""
        if info.flags & InitFlag.DIRECT_IO_ALLOW_MMAP:
            # Spares a new file's first write the kernel's question for security.capability.
            self._names.created = Opened(0, flags.FOPEN_DIRECT_IO)
        top = Request()
        top.nodeid = MOUNT_ROOT
        self._names.above = Entry(MOUNT_ROOT, 0, self._past.getattr(top).attributes, 0, 0)
        self._mounted()

    # Nodes

    def forget(self, nodeid: int, nlookup: int) -> None:  # noqa: D102 (Handler says what)
        if nodeid >= PAST:
            self._past.forget(nodeid, nlookup)
        elif nodeid != MOUNT_ROOT:
            self._live.forget(nodeid, nlookup)

    def batch_forget(self, forgets: Iterable[tuple[int, int]]) -> None:  # noqa: D102
        for nodeid, nlookup in forgets:
            self.forget(nodeid, nlookup)

    def place_of(self, nodeid: int) -> tuple[int, int]:
        """Return the day (0: now) and the inode number that a node stands for."""
        return (0, nodeid) if nodeid < PAST else self._past.place_of(nodeid)

    def getattr(self, request: Request, handle: int | None) -> AttributesReply:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._live.getattr(request, handle)
        return self._past.getattr(request)

    def setattr(self, request: Request, changes: SetAttributes) -> AttributesReply:  # noqa: D102
        self._must_be_live(request.nodeid)
        return self._live.setattr(request, changes)

    def statfs(self, request: Request) -> Statfs:  # noqa: D102
        host = os.statvfs(self._store.layout.root)
        # What djafs keeps free, so that it can still delete and pack, is not for others to fill.
        kept = -(-self._store.space.margin // host.f_frsize)
        return Statfs(
            host.f_blocks,
            max(host.f_bfree - kept, 0),
            max(host.f_bavail - kept, 0),
            self._live.statfs_files() + host.f_ffree,
            host.f_ffree,
            bsize=host.f_bsize,
            frsize=host.f_frsize,
        )

    def _must_be_live(self, node: int) -> None:
        if not MOUNT_ROOT < node < PAST:
            refuse(errno.EROFS)

    def _must_be_one_tree(self, one: int, other: int) -> None:
        """Refuse to move or link between ``live/`` and what is not, as between two filesystems."""
        if (MOUNT_ROOT < one < PAST) != (MOUNT_ROOT < other < PAST):
            refuse(errno.EXDEV)
        self._must_be_live(one)

    # Names

    def lookup(self, request: Request, name: bytes) -> Entry | Deferred:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._names.lookup(request, name)
        return self._past.lookup(request, name)

    def readlink(self, request: Request) -> bytes:  # noqa: D102
        if request.nodeid < PAST:
            return self._names.readlink(request)
        return self._past.readlink(request)

    def create(  # noqa: D102
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        self._must_be_live(request.nodeid)
        return self._names.create(request, name, flags, mode, umask, open_flags)

    def tmpfile(  # noqa: D102
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        self._must_be_live(request.nodeid)
        return self._names.tmpfile(request, name, flags, mode, umask, open_flags)

    def mknod(  # noqa: D102
        self, request: Request, name: bytes, mode: int, rdev: int, umask: int
    ) -> Entry:
        self._must_be_live(request.nodeid)
        return self._names.mknod(request, name, mode, rdev, umask)

    def mkdir(self, request: Request, name: bytes, mode: int, umask: int) -> Entry:  # noqa: D102
        self._must_be_live(request.nodeid)
        return self._names.mkdir(request, name, mode, umask)

    def symlink(self, request: Request, name: bytes, target: bytes) -> Entry:  # noqa: D102
        self._must_be_live(request.nodeid)
        return self._names.symlink(request, name, target)

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry:  # noqa: D102
        self._must_be_one_tree(request.nodeid, nodeid)
        return self._names.link(request, nodeid, new_name)

    def unlink(self, request: Request, name: bytes) -> None:  # noqa: D102
        self._must_be_live(request.nodeid)
        self._names.unlink(request, name)

    def rmdir(self, request: Request, name: bytes) -> None:  # noqa: D102
        self._must_be_live(request.nodeid)
        self._names.rmdir(request, name)

    def rename(  # noqa: D102
        self, request: Request, name: bytes, new_parent: int, new_name: bytes, flags: int
    ) -> None:
        self._must_be_one_tree(request.nodeid, new_parent)
        self._names.rename(request, name, new_parent, new_name, flags)

    def opendir(self, request: Request, flags: int) -> Opened:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._listing.opendir(request, flags)
        return self._past_listing.opendir(request)

    def releasedir(self, request: Request, handle: int) -> None:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            self._listing.releasedir(request, handle)
        else:
            self._past_listing.releasedir(handle)

    def readdir(  # noqa: D102
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterable[DirectoryEntry] | Deferred:
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._listing.readdir(request, handle, offset, size, plus=False)
        return self._past_listing.readdir(request, handle, offset, size, plus=False)

    def readdirplus(  # noqa: D102
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterable[DirectoryEntry] | Deferred:
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._listing.readdir(request, handle, offset, size, plus=True)
        return self._past_listing.readdir(request, handle, offset, size, plus=True)

    # Extended attributes

    def getxattr(self, request: Request, name: bytes, size: int) -> bytes:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._xattrs.getxattr(request, name)
        return self._past.getxattr(request, name)

    def listxattr(self, request: Request, size: int) -> Iterable[bytes]:  # noqa: D102
        if MOUNT_ROOT < request.nodeid < PAST:
            return self._xattrs.listxattr(request)
        return self._past.listxattr(request)

    def setxattr(  # noqa: D102
        self, request: Request, name: bytes, value: bytes, flags: int, setxattr_flags: int
    ) -> None:
        self._must_be_live(request.nodeid)
        self._xattrs.setxattr(request, name, value, flags)

    def removexattr(self, request: Request, name: bytes) -> None:  # noqa: D102
        self._must_be_live(request.nodeid)
        self._xattrs.removexattr(request, name)

    # Content

    def read(  # noqa: D102
        self, request: Request, handle: int, offset: int, size: int, flags: int
    ) -> bytes | Deferred:
        if request.nodeid < PAST:
            return self._content.read(request, offset, size)
        return self._past.read(request, offset, size)

    def write(  # noqa: D102
        self,
        request: Request,
        handle: int,
        offset: int,
        data: memoryview,
        write_flags: int,
        flags: int,
    ) -> int | Deferred:
        self._must_be_live(request.nodeid)
        return self._content.write(request, offset, data, write_flags)

    def release(  # noqa: D102
        self, request: Request, handle: int, flags: int, release_flags: int
    ) -> None:
        return None

    def fsync(self, request: Request, handle: int, datasync: bool) -> Deferred | None:  # noqa: D102
        return self._content.fsync(request) if request.nodeid < PAST else None

    def fsyncdir(  # noqa: D102
        self, request: Request, handle: int, datasync: bool
    ) -> Deferred | None:
        return self._content.fsync(request) if request.nodeid < PAST else None

    def fallocate(  # noqa: D102
        self, request: Request, handle: int, offset: int, length: int, mode: int
    ) -> None:
        self._must_be_live(request.nodeid)
        self._content.fallocate(request, offset, length, mode)

    def lseek(  # noqa: D102
        self, request: Request, handle: int, offset: int, whence: int
    ) -> int | Deferred:
        if request.nodeid < PAST:
            return self._content.lseek(request, offset, whence)
        return self._past.lseek(request, offset, whence)

    def copy_file_range(  # noqa: D102
        self,
        request: Request,
        handle: int,
        offset: int,
        nodeid_out: int,
        handle_out: int,
        offset_out: int,
        length: int,
        flags: int,
    ) -> int:
        self._must_be_live(nodeid_out)
        if request.nodeid >= PAST:
            refuse(errno.EOPNOTSUPP)  # the kernel reads and writes instead
        return self._content.copy_file_range(request, offset, nodeid_out, offset_out, length)

    def ioctl(  # noqa: D102
        self,
        request: Request,
        handle: int,
        flags: int,
        command: int,
        argument: int,
        in_bytes: bytes,
        out_size: int,
    ) -> IoctlReply | Deferred:
        if command != control.COUNT and command not in self._commands:
            refuse(errno.ENOTTY)
        if request.uid not in (0, os.getuid()):
            refuse(errno.EPERM)
        if command != control.COUNT:
            run = self._commands[command]
            return Deferred(lambda: IoctlReply(0, control.encode(run(in_bytes))))
        if not MOUNT_ROOT < request.nodeid < PAST:
            return IoctlReply(0, control.encode({}))
        ino = request.nodeid

        def count() -> IoctlReply:
            self._store.syncer.catch_up()
            files = self._store.snapshots.count_files(ino)
            return IoctlReply(0, control.encode({"files": files}))

        return Deferred(count)
