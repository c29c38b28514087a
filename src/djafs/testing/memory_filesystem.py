"""A filesystem in memory: an example of a :class:`djafs.fuse.Handler`, and a subject for tests.

``python -m djafs.testing.memory_filesystem MOUNTPOINT`` mounts it until it is unmounted.
"""

# ruff: noqa: D102 (what each operation is to do stands in Handler)
from __future__ import annotations

import errno
import os
import stat
import struct
import sys
import time
from collections.abc import Iterator

from djafs.fuse import (
    FOREVER,
    AttributesReply,
    Created,
    Deferred,
    DirectoryEntry,
    Entry,
    Handler,
    IoctlReply,
    Opened,
    Request,
    Server,
    SetAttributes,
    Statfs,
    flags,
    mount,
    negative_entry,
)
from djafs.testing.memory_tree import Node, Tree, fail

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
XATTR_CREATE = 1
XATTR_REPLACE = 2
#: _IOR('m', 1, u64): how many nodes there are.
IOCTL_COUNT = 2 << 30 | 8 << 16 | ord("m") << 8 | 1
#: _IOWR('m', 2, char[16]): the argument, reversed.
IOCTL_REVERSE = 3 << 30 | 16 << 16 | ord("m") << 8 | 2

_LARGEST_FILE = 1 << 28


class MemoryFilesystem(Handler):
    """All state is in ``tree``; only the serving thread touches it."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.nodes = self.tree.nodes

    # --- nodes ----------------------------------------------------------------------------------

    def forget(self, nodeid: int, nlookup: int) -> None:
        node = self.nodes[nodeid]
        node.lookups -= nlookup
        self.tree.drop_if_unused(node)

    def getattr(self, request: Request, handle: int | None) -> AttributesReply:
        return AttributesReply(self.nodes[request.nodeid].attributes(), FOREVER)

    def setattr(self, request: Request, changes: SetAttributes) -> AttributesReply:
        node = self.nodes[request.nodeid]
        valid = changes.valid
        now = time.time_ns()
        if valid & flags.FATTR_SIZE:
            if changes.size > _LARGEST_FILE:
                fail(errno.EFBIG)
            del node.content[changes.size :]
            node.content.extend(bytes(changes.size - len(node.content)))
            node.mtime = now
        if valid & flags.FATTR_MODE:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(changes.mode)
        if valid & flags.FATTR_UID:
            node.uid = changes.uid
        if valid & flags.FATTR_GID:
            node.gid = changes.gid
        if valid & flags.FATTR_ATIME:
            node.atime = now if valid & flags.FATTR_ATIME_NOW else changes.atime
        if valid & flags.FATTR_MTIME:
            node.mtime = now if valid & flags.FATTR_MTIME_NOW else changes.mtime
        node.ctime = now
        return AttributesReply(node.attributes(), FOREVER)

    def statfs(self, request: Request) -> Statfs:
        used = sum(len(node.content) for node in self.nodes.values()) // 4096
        return Statfs(1 << 20, (1 << 20) - used, (1 << 20) - used, 1 << 20, 1 << 19)

    def getxattr(self, request: Request, name: bytes, size: int) -> bytes:
        value = self.nodes[request.nodeid].xattrs.get(name)
        return fail(errno.ENODATA) if value is None else value

    def listxattr(self, request: Request, size: int) -> list[bytes]:
        return list(self.nodes[request.nodeid].xattrs)

    def setxattr(
        self, request: Request, name: bytes, value: bytes, flags: int, setxattr_flags: int
    ) -> None:
        node = self.nodes[request.nodeid]
        if flags & XATTR_CREATE and name in node.xattrs:
            fail(errno.EEXIST)
        if flags & XATTR_REPLACE and name not in node.xattrs:
            fail(errno.ENODATA)
        node.xattrs[name] = value

    def removexattr(self, request: Request, name: bytes) -> None:
        if self.nodes[request.nodeid].xattrs.pop(name, None) is None:
            fail(errno.ENODATA)

    # --- names ----------------------------------------------------------------------------------

    def lookup(self, request: Request, name: bytes) -> Entry:
        found = self.nodes[request.nodeid].children.get(name)
        return negative_entry(FOREVER) if found is None else found[1].entry()

    def readlink(self, request: Request) -> bytes:
        return bytes(self.nodes[request.nodeid].content)

    def symlink(self, request: Request, name: bytes, target: bytes) -> Entry:
        node = self._add(request, name, stat.S_IFLNK | 0o777)
        node.content[:] = target
        return node.entry()

    def mknod(self, request: Request, name: bytes, mode: int, rdev: int, umask: int) -> Entry:
        node = self._add(request, name, mode)
        node.rdev = rdev
        return node.entry()

    def mkdir(self, request: Request, name: bytes, mode: int, umask: int) -> Entry:
        return self._add(request, name, stat.S_IFDIR | mode).entry()

    def create(
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        found = self.nodes[request.nodeid].children.get(name)
        if found is not None and not flags & os.O_EXCL:
            return Created(found[1].entry(), Opened())
        return Created(self._add(request, name, stat.S_IFREG | mode).entry(), Opened())

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry:
        node = self.nodes[nodeid]
        self.tree.bind(self.nodes[request.nodeid], new_name, node)
        node.nlink += 1
        node.ctime = time.time_ns()
        return node.entry()

    def unlink(self, request: Request, name: bytes) -> None:
        self.tree.remove(self.nodes[request.nodeid], name)

    def rmdir(self, request: Request, name: bytes) -> None:
        self.tree.remove(self.nodes[request.nodeid], name)

    def rename(
        self, request: Request, name: bytes, new_parent: int, new_name: bytes, flags: int
    ) -> None:
        source, target = self.nodes[request.nodeid], self.nodes[new_parent]
        if flags == RENAME_EXCHANGE:
            self.tree.exchange(source, name, target, new_name)
        elif flags not in (0, RENAME_NOREPLACE):
            fail(errno.EINVAL)
        elif flags == RENAME_NOREPLACE and new_name in target.children:
            fail(errno.EEXIST)
        else:
            self.tree.move(source, name, target, new_name)

    def opendir(self, request: Request, flags_: int) -> Opened:
        return Opened(0, flags.FOPEN_CACHE_DIR | flags.FOPEN_KEEP_CACHE)

    def readdir(
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterator[DirectoryEntry]:
        directory = self.nodes[request.nodeid]
        if offset < 1:
            yield DirectoryEntry(b".", directory.ino, 1, stat.S_IFDIR)
        if offset < 2:
            yield DirectoryEntry(b"..", directory.parent, 2, stat.S_IFDIR)
        # A filesystem with large directories would have an index here.
        for name, (cookie, node) in directory.children.items():
            if cookie > offset:
                yield DirectoryEntry(name, node.ino, cookie, node.mode, node.entry(counted=False))

    def readdirplus(
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterator[DirectoryEntry]:
        for each in self.readdir(request, handle, offset, size):
            yield each
            # Resumed: it was sent, so it counts.
            if each.entry is not None:
                self.nodes[each.ino].lookups += 1

    def _add(self, request: Request, name: bytes, mode: int) -> Node:
        return self.tree.add(self.nodes[request.nodeid], name, mode, request.uid, request.gid)

    # --- content --------------------------------------------------------------------------------

    def read(
        self, request: Request, handle: int, offset: int, size: int, flags: int
    ) -> bytes | Deferred:
        return bytes(memoryview(self.nodes[request.nodeid].content)[offset : offset + size])

    def write(
        self,
        request: Request,
        handle: int,
        offset: int,
        data: memoryview,
        write_flags: int,
        flags: int,
    ) -> int:
        node = self.nodes[request.nodeid]
        if offset + len(data) > _LARGEST_FILE:
            fail(errno.EFBIG)
        if offset > len(node.content):
            node.content.extend(bytes(offset - len(node.content)))
        node.content[offset : offset + len(data)] = data
        node.changed()
        return len(data)

    def ioctl(
        self,
        request: Request,
        handle: int,
        flags: int,
        command: int,
        argument: int,
        in_bytes: bytes,
        out_size: int,
    ) -> IoctlReply:
        if command == IOCTL_COUNT:
            return IoctlReply(0, struct.pack("=Q", len(self.nodes)))
        if command == IOCTL_REVERSE:
            return IoctlReply(0, in_bytes[::-1])
        return fail(errno.ENOTTY)


def main() -> None:
    """Mount on the directory named on the command line, and serve."""
    descriptor = mount(sys.argv[1], ["fsname=memory", "subtype=memory", "default_permissions"])
    Server(descriptor, MemoryFilesystem()).serve()


if __name__ == "__main__":
    main()
