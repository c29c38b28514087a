"""Names given and taken: the live tree, link counts, and what history keeps of them."""

from __future__ import annotations

from djafs.disk import records
from djafs.disk.batch import (
    BindingEnded,
    BindingReplaced,
    InodeGone,
    NameBeforeDirectory,
    PartClosed,
    Vacated,
    VersionClosed,
)
from djafs.extents import PART
from djafs.model import NEVER, Dentry, Inode
from djafs.store.tree import Tree
from djafs.store.versions import Versions


class Bindings:
    """Binds the names of a tree to its inodes."""

    def __init__(self, tree: Tree, versions: Versions) -> None:
        self._tree = tree
        self._versions = versions

    def named(self, parent: int, name: bytes) -> tuple[Dentry, Inode]:
        """Return a name of the directory ``parent`` and its inode (raises KeyError)."""
        dentry = self._tree.dentry(parent, name)
        inode = self._tree.inode(dentry.ino) if dentry else None
        if dentry is None or inode is None:
            raise KeyError(name)
        return dentry, inode

    def bind(
        self,
        parent: Inode,
        name: bytes,
        inode: Inode,
        t: int,
        cookie: int,
        after: int = NEVER,
    ) -> None:
        """Give ``inode`` a name, as part of the version that is open now.

        A version that began before ``after``, when the name meant something else, cannot take
        its name along.
        """
        lost = self._tree.fill(parent.ino, name)
        if lost is not None and self._versions.is_moment(lost.t, t):
            event = BindingReplaced(parent.ino, name, lost.ino, lost.begin, False, lost.t)
            self._tree.batch.events.append(event)
            if inode.content:
                inode.floor = max(inode.floor, lost.begin)
        made, begin = inode.version, 0
        if not inode.content or inode.effective() <= after:
            # A rename or link of a closed version begins when it is recorded.
            made, begin = 0, max(t, inode.floor + 1)
        elif made > 1:
            inode.born = {**(inode.born or {}), made: 0}
        if t < parent.began(1):
            self._tree.batch.events.append(NameBeforeDirectory(parent.ino, t))
        self._tree.bind(parent.ino, name, Dentry(inode.ino, cookie, begin, made))
        parent.entries += 1
        if inode.is_regular:
            parent.files += 1
        elif inode.is_directory:
            parent.nlink += 1
            inode.parent = parent.ino

    def unbind(self, parent: Inode, name: bytes, dentry: Dentry, inode: Inode) -> None:
        """Take a name out of the live tree; history is told by others."""
        self._tree.unbind(parent.ino, name, dentry)
        parent.entries -= 1
        if inode.is_regular:
            parent.files -= 1
        elif inode.is_directory:
            parent.nlink -= 1

    def end(
        self,
        parent: int,
        name: bytes,
        dentry: Dentry,
        inode: Inode,
        t: int,
        effective: int | None = None,
    ) -> None:
        """Note in history that a name was removed or renamed away."""
        newborn = (
            dentry.made == inode.version and self._versions.is_open(inode, t) and effective is None
        )
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        end = t if effective is None else max(effective, begin)
        self._tree.batch.events.append(
            BindingEnded(parent, name, inode.ino, begin, _is_first(dentry, inode), end, not newborn)
        )
        if not newborn:
            self._tree.writable(inode.ino).seen = True

    def replace(self, parent: int, name: bytes, dentry: Dentry, t: int) -> int:
        """Take a name from an inode because another gets it; return when it had begun."""
        inode = self._tree.writable(dentry.ino)
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        self.note_replaced(parent, name, dentry, inode)
        begin = max(begin, inode.effective())
        self.lose_name(inode, t)
        return begin

    def note_replaced(self, parent: int, name: bytes, dentry: Dentry, inode: Inode) -> int:
        """Note in history that a name is given to another inode; return when it had begun."""
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        first = _is_first(dentry, inode)
        self._tree.batch.events.append(BindingReplaced(parent, name, inode.ino, begin, first))
        inode.seen = True
        return begin

    def lose_name(self, inode: Inode, t: int) -> None:
        """Lower the link count; the last name takes the inode out of history's reach."""
        if inode.nlink > 1 and not inode.is_directory:
            inode = self._versions.touch(inode.ino, t, content=False)
            inode.nlink -= 1
            return
        events = self._tree.batch.events
        if inode.seen:
            events.append(VersionClosed(inode.copy(), inode.effective()))
            if inode.size > PART:
                for number in self._tree.part_numbers(inode.ino):
                    part = self._tree.part(inode.ino, number)
                    if part is not None and part.extents:
                        extents = part.extents.copy()
                        events.append(PartClosed(inode.ino, number, inode.version, extents))
        events.append(InodeGone(inode.ino, inode.seen))
        inode.nlink = 0
        inode.ctime = inode.last = t
        self._tree.orphans.add(inode.ino)

    def vacate(self, parent: Inode, name: bytes, t: int) -> int:
        """Take a name from what has it; return the effective time of that, NEVER for nothing."""
        other = self._tree.dentry(parent.ino, name)
        if other is None:
            return NEVER
        self.unbind(parent, name, other, self._tree.writable(other.ino))
        return self.replace(parent.ino, name, other, t)

    def vacate_young(
        self, record: records.Unlink | records.Rmdir, name: bytes, dentry: Dentry, inode: Inode
    ) -> None:
        """Remember a name without a trace that days before this one had shown already."""
        t = record.t
        if (
            dentry.made != inode.version
            or not self._versions.is_open(inode, t)
            or inode.is_directory
        ):
            return
        begin = inode.effective()
        if begin < t and not self._tree.calendar.same_day(begin, t):
            self._tree.vacate(record.dir, name, Vacated(inode.ino, begin, t))
            inode.seen = True


def _is_first(dentry: Dentry, inode: Inode) -> bool:
    """Return whether a name is as old as the directory that it stands for."""
    return dentry.made == 1 and inode.is_directory
