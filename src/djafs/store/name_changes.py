"""What the records that make, name, rename and remove inodes do."""

from __future__ import annotations

from djafs.disk import records
from djafs.disk.batch import ContentRow
from djafs.disk.records import bytes_of
from djafs.extents import Extent
from djafs.model import LIVE_ROOT, NEVER, Dentry, Inode
from djafs.store.bindings import Bindings
from djafs.store.content_changes import ContentChanges
from djafs.store.tree import Tree, cookie_of
from djafs.store.versions import Versions


class NameChanges:
    """Applies the records of names to a tree; each method takes those that are called like it."""

    def __init__(self, tree: Tree, versions: Versions, content: ContentChanges) -> None:
        self._tree = tree
        self._versions = versions
        self._content = content
        self._bindings = Bindings(tree, versions)

    def create(self, record: records.Create) -> None:
        """Make an inode, and give it its first name if it gets one."""
        t = record.t
        inode = Inode(record.ino, record.mode, record.uid, record.gid, t)
        inode.rdev = record.rdev
        if record.target is not None:
            inode.target = bytes_of(record.target)
            inode.size = len(inode.target)
        if record.mtime is not None:
            _set_times(inode, record.mtime, record.atime)
        tree = self._tree
        tree.next_ino = max(tree.next_ino, record.ino + 1)
        if inode.is_directory:
            inode.nlink = 2
        if not record.name:  # the root, or a file that waits for a name (O_TMPFILE)
            if record.ino != LIVE_ROOT:
                inode.nlink = 0
                tree.orphans.add(record.ino)
            tree.add(inode)
            return
        self._enter(record, inode, self._versions.of_directory(record.mtime is not None, record))

    def file(self, record: records.File) -> None:
        """Make a regular file whose content is in archives already."""
        tree = self._tree
        inode = Inode(record.ino, record.mode, record.uid, record.gid, record.t)
        inode.size = record.size
        _set_times(inode, record.mtime, record.atime)
        tree.next_ino = max(tree.next_ino, record.ino + 1)
        cid = record.cid
        if record.sha256 is not None:
            tree.next_content = max(tree.next_content, cid + 1)
            tree.batch.contents[cid] = ContentRow(
                bytes.fromhex(record.sha256), record.arc, record.at, record.size
            )
        if cid:
            inode.extents.append(Extent(0, record.size, 0, 0, cid))
        self._enter(record, inode, tree.writable(record.dir))
        if record.parts:
            self._content.place_parts(inode, record.parts)

    def _enter(self, record: records.Create | records.File, inode: Inode, parent: Inode) -> None:
        """Give a new inode its first name."""
        name = bytes_of(record.name)
        if record.replace:
            inode.floor = self._bindings.vacate(parent, name, record.t)
        self._tree.add(inode)
        self._bindings.bind(parent, name, inode, record.t, cookie_of(record.seq))

    def link(self, record: records.Link) -> None:
        """Give an inode a further name."""
        t, name = record.t, bytes_of(record.name)
        parent = self._versions.of_directory(record.brought, record)
        if record.brought:
            inode = self._tree.writable(record.ino)
        else:
            was_open = self._versions.is_open(self._tree.writable(record.ino), t)
            inode = self._versions.touch(record.ino, t, content=False)
            if record.replace:
                begin = self._bindings.vacate(parent, name, t)
                if was_open:
                    inode.floor = max(inode.floor, begin)
        inode.nlink += 1
        self._tree.orphans.discard(record.ino)
        self._bindings.bind(parent, name, inode, t, cookie_of(record.seq))

    def unlink(self, record: records.Unlink | records.Rmdir) -> None:
        """Remove a name (raises KeyError if it is not there)."""
        name = bytes_of(record.name)
        dentry, inode = self._bindings.named(record.dir, name)
        effective = record.effective if isinstance(record, records.Unlink) else None
        self._bindings.end(record.dir, name, dentry, inode, record.t, effective)
        if effective is None:
            parent = self._versions.touch(record.dir, record.t, content=True)
        else:
            parent = self._tree.writable(record.dir)
        self._bindings.unbind(parent, name, dentry, inode)
        inode = self._tree.writable(inode.ino)
        if effective is None:
            self._bindings.vacate_young(record, name, dentry, inode)
        self._bindings.lose_name(inode, record.t)

    def rename(self, record: records.Rename) -> None:
        """Give an inode another name in place of one (raises KeyError), or exchange two names."""
        name, target = bytes_of(record.name), bytes_of(record.as_)
        t = record.t
        dentry, inode = self._bindings.named(record.dir, name)
        other = self._tree.dentry(record.to, target)
        after = NEVER
        if record.exchange:
            before = self._bindings.note_replaced(
                record.dir, name, dentry, self._tree.writable(inode.ino)
            )
        else:
            self._bindings.end(record.dir, name, dentry, inode, t)
        parent = self._versions.touch(record.dir, t, content=True)
        heir = self._versions.touch(record.to, t, content=True)
        was_open = self._versions.is_open(self._tree.writable(inode.ino), t)
        inode = self._versions.touch(inode.ino, t, content=False)
        self._bindings.unbind(parent, name, dentry, inode)
        if other is not None:
            taken = self._tree.writable(other.ino)
            self._bindings.unbind(heir, target, other, taken)
            if record.exchange:
                after = self._swap(record, other, taken, before)
            else:
                begin = self._bindings.replace(record.to, target, other, t)
                if was_open:
                    inode.floor = max(inode.floor, begin)
        self._bindings.bind(heir, target, inode, t, cookie_of(record.seq), after)

    def _swap(self, record: records.Rename, other: Dentry, taken: Inode, before: int) -> int:
        """Give the other inode of an exchange the name that came free, which had begun ``before``.

        Return when the name that it gives up had begun.
        """
        t = record.t
        after = self._bindings.note_replaced(record.to, bytes_of(record.as_), other, taken)
        taken = self._versions.touch(taken.ino, t, content=False)
        parent = self._tree.writable(record.dir)
        cookie = cookie_of(record.seq, second=True)
        self._bindings.bind(parent, bytes_of(record.name), taken, t, cookie, before)
        return after


def _set_times(inode: Inode, mtime: int, atime: int | None) -> None:
    """Give a new inode the times that it brings along."""
    inode.explicit = mtime != inode.last
    inode.mtime = mtime
    inode.atime = mtime if atime is None else atime
