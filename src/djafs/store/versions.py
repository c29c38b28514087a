"""Which version of an inode a change belongs to (docs/architecture.md, "Effective time")."""

from __future__ import annotations

from djafs.disk import records
from djafs.disk.batch import VersionClosed
from djafs.model import SPAN, Inode
from djafs.store.tree import Tree


class Versions:
    """Closes the versions of a tree's inodes, and opens new ones."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def is_open(self, inode: Inode, t: int) -> bool:
        """Return whether a change at ``t`` still belongs to the inode's version."""
        return max(t, self._tree.closed) - inode.last <= SPAN and self.is_moment(inode.last, t)

    def is_moment(self, last: int, t: int) -> bool:
        """Return whether no version that was open at ``last`` has closed by ``t``."""
        return t - last <= SPAN and self._tree.calendar.same_day(last, t)

    def touch(self, ino: int, t: int, content: bool) -> Inode:
        """Return the inode in the version that a change at ``t`` belongs to."""
        inode = self._tree.writable(ino)
        if not self.is_open(inode, t) or (content and inode.explicit):
            begin = inode.effective()
            if inode.nlink:
                self._tree.batch.events.append(VersionClosed(inode.copy(), begin))
            if inode.version == 1 or (inode.born and inode.version in inode.born):
                inode.born = {**(inode.born or {}), inode.version: begin}
            inode.floor = begin
            inode.version += 1
            inode.content = content
            inode.explicit = False
        elif content:
            inode.content = True
            inode.explicit = False
        inode.ctime = inode.last = t
        if content:
            inode.mtime = t
        return inode

    def of_directory(self, brought: bool, record: records.Create | records.Link) -> Inode:
        """Return the directory that gets a name; one that is brought in leaves its times alone."""
        if brought:
            return self._tree.writable(record.dir)
        return self.touch(record.dir, record.t, content=True)
