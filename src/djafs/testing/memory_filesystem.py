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
from dataclasses import dataclass, field
from typing import NoReturn

from djafs.fuse import (
    FOREVER,
    ROOT_NODE,
    Attributes,
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

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
XATTR_CREATE = 1
XATTR_REPLACE = 2
#: _IOR('m', 1, u64): how many nodes there are.
IOCTL_COUNT = 2 << 30 | 8 << 16 | ord("m") << 8 | 1
#: _IOWR('m', 2, char[16]): the argument, reversed.
IOCTL_REVERSE = 3 << 30 | 16 << 16 | ord("m") << 8 | 2

_LONGEST_NAME = 255
_LARGEST_FILE = 1 << 28


def fail(number: int) -> NoReturn:
    """Answer with an errno."""
    raise OSError(number, os.strerror(number))


@dataclass(slots=True)
class Node:
    """An inode.

    Invariant: it is in ``MemoryFilesystem.nodes`` as long as it has names (``nlink``) or the
    kernel knows it (``lookups``).
    """

    ino: int
    mode: int
    uid: int
    gid: int
    nlink: int = 1
    rdev: int = 0
    lookups: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0
    parent: int = ROOT_NODE  # of a directory
    content: bytearray = field(default_factory=bytearray)  # of a link: its target
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    #: Name to cookie and node, in the order of the cookies, which are never used again.
    children: dict[bytes, tuple[int, Node]] = field(default_factory=dict)
    last_cookie: int = 2  # 1 and 2 are those of "." and ".."

    def attributes(self) -> Attributes:
        """Return what stat(2) shows."""
        size = len(self.content)
        return Attributes(
            ino=self.ino,
            size=size,
            blocks=(size + 511) // 512,
            atime=self.atime,
            mtime=self.mtime,
            ctime=self.ctime,
            mode=self.mode,
            nlink=self.nlink,
            uid=self.uid,
            gid=self.gid,
            rdev=self.rdev,
        )

    def entry(self, *, counted: bool = True) -> Entry:
        """Return the entry of a name of this node, which counts as a lookup."""
        if counted:
            self.lookups += 1
        return Entry(self.ino, 0, self.attributes(), FOREVER, FOREVER)

    def changed(self) -> None:
        """Note that content or children have changed."""
        self.mtime = self.ctime = time.time_ns()


class MemoryFilesystem(Handler):
    """All state is in ``nodes``; only the serving thread touches it."""

    def __init__(self) -> None:
        root = Node(ROOT_NODE, stat.S_IFDIR | 0o755, os.getuid(), os.getgid(), nlink=2)
        root.atime = root.mtime = root.ctime = time.time_ns()
        self.nodes: dict[int, Node] = {ROOT_NODE: root}
        self._last_ino = ROOT_NODE

    # --- nodes ----------------------------------------------------------------------------------

    def forget(self, nodeid: int, nlookup: int) -> None:
        node = self.nodes[nodeid]
        node.lookups -= nlookup
        self._drop_if_unused(node)

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
        parent = self.nodes[request.nodeid]
        node = self._add(request, name, stat.S_IFDIR | mode | parent.mode & stat.S_ISGID)
        node.nlink = 2
        node.parent = parent.ino
        parent.nlink += 1
        return node.entry()

    def create(
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        found = self.nodes[request.nodeid].children.get(name)
        if found is not None and not flags & os.O_EXCL:
            return Created(found[1].entry(), Opened())
        return Created(self._add(request, name, stat.S_IFREG | mode).entry(), Opened())

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry:
        node = self.nodes[nodeid]
        self._bind(self.nodes[request.nodeid], new_name, node)
        node.nlink += 1
        node.ctime = time.time_ns()
        return node.entry()

    def unlink(self, request: Request, name: bytes) -> None:
        self._remove(self.nodes[request.nodeid], name)

    def rmdir(self, request: Request, name: bytes) -> None:
        self._remove(self.nodes[request.nodeid], name)

    def rename(
        self, request: Request, name: bytes, new_parent: int, new_name: bytes, flags: int
    ) -> None:
        if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE):
            fail(errno.EINVAL)
        source, target = self.nodes[request.nodeid], self.nodes[new_parent]
        node = self._child(source, name)
        other = target.children.get(new_name)
        if flags & RENAME_EXCHANGE:
            exchanged = self._child(target, new_name)
            source.children[name] = (source.children[name][0], exchanged)
            target.children[new_name] = (target.children[new_name][0], node)
            self._moved(exchanged, target, source)
        else:
            if other is not None:
                if flags & RENAME_NOREPLACE:
                    fail(errno.EEXIST)
                self._remove(target, new_name)
            self._bind(target, new_name, node)
            del source.children[name]
        self._moved(node, source, target)
        source.changed()
        target.changed()

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

    # --- the tree -------------------------------------------------------------------------------

    def _child(self, directory: Node, name: bytes) -> Node:
        found = directory.children.get(name)
        return fail(errno.ENOENT) if found is None else found[1]

    def _add(self, request: Request, name: bytes, mode: int) -> Node:
        """Create a node with a name."""
        parent = self.nodes[request.nodeid]
        self._last_ino += 1
        gid = parent.gid if parent.mode & stat.S_ISGID else request.gid
        node = Node(self._last_ino, mode, request.uid, gid)
        self._bind(parent, name, node)
        node.atime = node.mtime = node.ctime = parent.mtime
        self.nodes[node.ino] = node
        return node

    def _bind(self, directory: Node, name: bytes, node: Node) -> None:
        """Add a name of a node."""
        if len(name) > _LONGEST_NAME:
            fail(errno.ENAMETOOLONG)
        if name in directory.children:
            fail(errno.EEXIST)
        directory.last_cookie += 1
        directory.children[name] = (directory.last_cookie, node)
        directory.changed()

    def _remove(self, directory: Node, name: bytes) -> None:
        """Remove a name, and the node if it was the last one."""
        node = self._child(directory, name)
        if node.children:
            fail(errno.ENOTEMPTY)
        del directory.children[name]
        if stat.S_ISDIR(node.mode):
            directory.nlink -= 1
            node.nlink -= 1
        node.nlink -= 1
        directory.changed()
        node.ctime = directory.ctime
        self._drop_if_unused(node)

    def _moved(self, node: Node, source: Node, target: Node) -> None:
        """Note that a node has gone from one directory to another."""
        if stat.S_ISDIR(node.mode):
            node.parent = target.ino
            source.nlink -= 1
            target.nlink += 1
        node.ctime = time.time_ns()

    def _drop_if_unused(self, node: Node) -> None:
        if not node.nlink and not node.lookups:
            del self.nodes[node.ino]


def main() -> None:
    """Mount on the directory named on the command line, and serve."""
    descriptor = mount(sys.argv[1], ["fsname=memory", "subtype=memory", "default_permissions"])
    Server(descriptor, MemoryFilesystem()).serve()


if __name__ == "__main__":
    main()
