"""Inodes and names in memory: what :mod:`djafs.testing.memory_filesystem` serves."""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass, field
from typing import NoReturn

from djafs.fuse import FOREVER, ROOT_NODE, Attributes, Entry

_LONGEST_NAME = 255


def fail(number: int) -> NoReturn:
    """Answer with an errno."""
    raise OSError(number, os.strerror(number))


@dataclass(slots=True)
class Node:
    """An inode.

    Invariant: it is in ``Tree.nodes`` as long as it has names (``nlink``) or the
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


class Tree:
    """All nodes, by number, and the names among them."""

    def __init__(self) -> None:
        root = Node(ROOT_NODE, stat.S_IFDIR | 0o755, os.getuid(), os.getgid(), nlink=2)
        root.atime = root.mtime = root.ctime = time.time_ns()
        self.nodes: dict[int, Node] = {ROOT_NODE: root}
        self._last_ino = ROOT_NODE

    def child(self, directory: Node, name: bytes) -> Node:
        """Return what a name leads to, or fail with ENOENT."""
        found = directory.children.get(name)
        return fail(errno.ENOENT) if found is None else found[1]

    def add(self, parent: Node, name: bytes, mode: int, uid: int, gid: int) -> Node:
        """Create a node with a name."""
        self._last_ino += 1
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        node = Node(self._last_ino, mode, uid, gid, parent=parent.ino)
        self.bind(parent, name, node)
        if stat.S_ISDIR(mode):
            node.nlink = 2
            parent.nlink += 1
        node.atime = node.mtime = node.ctime = parent.mtime
        self.nodes[node.ino] = node
        return node

    def bind(self, directory: Node, name: bytes, node: Node) -> None:
        """Add a name of a node."""
        if len(name) > _LONGEST_NAME:
            fail(errno.ENAMETOOLONG)
        if name in directory.children:
            fail(errno.EEXIST)
        directory.last_cookie += 1
        directory.children[name] = (directory.last_cookie, node)
        directory.changed()

    def remove(self, directory: Node, name: bytes) -> None:
        """Remove a name, and the node if it was the last one."""
        node = self.child(directory, name)
        if node.children:
            fail(errno.ENOTEMPTY)
        del directory.children[name]
        if stat.S_ISDIR(node.mode):
            directory.nlink -= 1
            node.nlink -= 1
        node.nlink -= 1
        directory.changed()
        node.ctime = directory.ctime
        self.drop_if_unused(node)

    def move(self, source: Node, name: bytes, target: Node, new_name: bytes) -> None:
        """Move a name, replacing what has the new one."""
        node = self.child(source, name)
        if new_name in target.children:
            self.remove(target, new_name)
        self.bind(target, new_name, node)
        del source.children[name]
        source.changed()
        self._moved(node, source, target)

    def exchange(self, source: Node, name: bytes, target: Node, new_name: bytes) -> None:
        """Let two names change places."""
        node, other = self.child(source, name), self.child(target, new_name)
        source.children[name] = (source.children[name][0], other)
        target.children[new_name] = (target.children[new_name][0], node)
        source.changed()
        target.changed()
        self._moved(node, source, target)
        self._moved(other, target, source)

    def drop_if_unused(self, node: Node) -> None:
        """Delete a node that has no names and that the kernel has forgotten."""
        if not node.nlink and not node.lookups:
            del self.nodes[node.ino]

    def _moved(self, node: Node, source: Node, target: Node) -> None:
        """Note that a node has gone from one directory to another."""
        if stat.S_ISDIR(node.mode):
            node.parent = target.ino
            source.nlink -= 1
            target.nlink += 1
        node.ctime = time.time_ns()
