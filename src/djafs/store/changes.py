"""What each record of the lookup log does to the live tree and to history.

The rules of versions, bindings and effective time are those of docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from djafs.disk import records
from djafs.disk.batch import (
    BindingEnded,
    BindingReplaced,
    ContentRow,
    InodeGone,
    NameBeforeDirectory,
    Packed,
    PartClosed,
    Swept,
    Vacated,
    VersionClosed,
)
from djafs.disk.extents import PART, Extent, clear, place, window
from djafs.disk.hot_log import pack_checksums
from djafs.disk.index_writer import relocate
from djafs.disk.records import bytes_of
from djafs.model import LIVE_ROOT, NEVER, SPAN, Dentry, Inode, Part
from djafs.store.tree import Tree, cookie_of, parts_of

_CAPABILITY = b"security.capability"
"""Extended attribute that a file loses with the first write, as set-user-ID does."""


class Changes:
    """Applies records to a tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._apply: dict[type[records.Record], Callable[[Any], None]] = {
            records.Mount: self._mount,
            records.Create: self._create,
            records.File: self._file,
            records.Write: self._write,
            records.Setattr: self._setattr,
            records.Punch: self._punch,
            records.Clone: self._clone,
            records.Setxattr: self._setxattr,
            records.Link: self._link,
            records.Unlink: self._unlink,
            records.Rmdir: self._unlink,
            records.Rename: self._rename,
            records.Archive: self._archive,
            records.Content: self._content,
            records.Pack: self._pack,
            records.Move: self._move,
            records.Forget: self._forget,
            records.Drop: self._drop,
            records.Sweep: self._sweep,
        }

    def apply(self, record: records.Record) -> None:
        """Change the tree as ``record`` says (raises KeyError for an inode that is not there)."""
        change = self._apply.get(type(record))
        if change is not None:
            change(record)

    # Versions

    def _is_open(self, inode: Inode, t: int) -> bool:
        """Return whether a change at ``t`` still belongs to the inode's version."""
        return max(t, self._tree.closed) - inode.last <= SPAN and self._is_moment(inode.last, t)

    def _is_moment(self, last: int, t: int) -> bool:
        """Return whether no version that was open at ``last`` has closed by ``t``."""
        return t - last <= SPAN and self._tree.calendar.same_day(last, t)

    def _touch(self, ino: int, t: int, content: bool) -> Inode:
        """Return the inode in the version that a change at ``t`` belongs to."""
        inode = self._tree.writable(ino)
        if not self._is_open(inode, t) or (content and inode.explicit):
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

    # Names

    def _bind(
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
        if lost is not None and self._is_moment(lost.t, t):
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

    def _unbind(self, parent: Inode, name: bytes, dentry: Dentry, inode: Inode) -> None:
        self._tree.unbind(parent.ino, name, dentry)
        parent.entries -= 1
        if inode.is_regular:
            parent.files -= 1
        elif inode.is_directory:
            parent.nlink -= 1

    def _end(
        self,
        parent: int,
        name: bytes,
        dentry: Dentry,
        inode: Inode,
        t: int,
        effective: int | None = None,
    ) -> None:
        """Note in history that a name was removed or renamed away."""
        newborn = dentry.made == inode.version and self._is_open(inode, t) and effective is None
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        end = t if effective is None else max(effective, begin)
        self._tree.batch.events.append(
            BindingEnded(parent, name, inode.ino, begin, _is_first(dentry, inode), end, not newborn)
        )
        if not newborn:
            self._tree.writable(inode.ino).seen = True

    def _replace(self, parent: int, name: bytes, dentry: Dentry, t: int) -> int:
        """Take a name from an inode because another gets it; return when it had begun."""
        inode = self._tree.writable(dentry.ino)
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        self._note_replaced(parent, name, dentry, inode)
        begin = max(begin, inode.effective())
        self._lose_name(inode, t)
        return begin

    def _note_replaced(self, parent: int, name: bytes, dentry: Dentry, inode: Inode) -> int:
        """Note in history that a name is given to another inode; return when it had begun."""
        begin = inode.began(dentry.made) if dentry.made else dentry.begin
        first = _is_first(dentry, inode)
        self._tree.batch.events.append(BindingReplaced(parent, name, inode.ino, begin, first))
        inode.seen = True
        return begin

    def _lose_name(self, inode: Inode, t: int) -> None:
        """Lower the link count; the last name takes the inode out of history's reach."""
        if inode.nlink > 1 and not inode.is_directory:
            inode = self._touch(inode.ino, t, content=False)
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

    # Records

    def _mount(self, record: records.Mount) -> None:
        for ino in list(self._tree.orphans):
            self._tree.free(ino)

    def _create(self, record: records.Create) -> None:
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
        self._enter(record, inode, self._touch_unless(record.mtime is not None, record))

    def _touch_unless(self, brought: bool, record: records.Create | records.Link) -> Inode:
        """Return the directory that gets a name; one that is brought in leaves its times alone."""
        if brought:
            return self._tree.writable(record.dir)
        return self._touch(record.dir, record.t, content=True)

    def _enter(self, record: records.Create | records.File, inode: Inode, parent: Inode) -> None:
        """Give a new inode its first name."""
        name = bytes_of(record.name)
        if record.replace:
            inode.floor = self._vacate(parent, name, record.t)
        self._tree.add(inode)
        self._bind(parent, name, inode, record.t, cookie_of(record.seq))

    def _vacate(self, parent: Inode, name: bytes, t: int) -> int:
        """Take a name from what has it; return the effective time of that, NEVER for nothing."""
        other = self._tree.dentry(parent.ino, name)
        if other is None:
            return NEVER
        self._unbind(parent, name, other, self._tree.writable(other.ino))
        return self._replace(parent.ino, name, other, t)

    def _file(self, record: records.File) -> None:
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
            self._place_parts(inode, record.parts)

    def _place_parts(self, inode: Inode, contents: list[int]) -> None:
        for number, cid in enumerate(contents):
            if cid:
                length = min(PART, inode.size - number * PART)
                self._extents(inode, number).append(Extent(0, length, 0, 0, cid))

    def _write(self, record: records.Write) -> None:
        inode = self._touch(record.ino, record.t, content=True)
        at, length, offset, segment = record.at, record.len, record.off, record.seg
        end = offset + length
        run = (at, length, pack_checksums(record.crc))
        if end <= PART:
            place(inode.extents, Extent(offset, length, segment, at, *run))
        else:
            for number, begin, size in parts_of(offset, length):
                place(self._extents(inode, number), Extent(begin, size, segment, at, *run))
                at += size
        inode.size = max(inode.size, end)
        tree = self._tree
        tree.last_segment = max(tree.last_segment, segment)
        tree.batch.floor_segment = min(tree.batch.floor_segment, segment)
        if inode.xattrs is not None and _CAPABILITY in inode.xattrs:
            rest = {name: v for name, v in inode.xattrs.items() if name != _CAPABILITY}
            inode.xattrs = rest or None
        if record.mode is not None:
            inode.mode = record.mode

    def _extents(self, inode: Inode, number: int) -> list[Extent]:
        if number == 0:
            return inode.extents
        return self._tree.writable_part(inode, number).extents

    def _setattr(self, record: records.Setattr) -> None:
        t = record.t
        inode = self._touch(record.ino, t, content=record.size is not None)
        if record.size is not None:
            if record.size < inode.size:
                self._make_hole(inode, record.size, inode.size)
            inode.size = record.size
        if record.mode is not None:
            inode.mode = record.mode
        if record.uid is not None:
            inode.uid = record.uid
        if record.gid is not None:
            inode.gid = record.gid
        if record.atime is not None:
            inode.atime = record.atime
        if record.mtime is not None:
            inode.mtime = record.mtime
            inode.explicit = record.mtime != t

    def _make_hole(self, inode: Inode, start: int, end: int) -> None:
        if start < PART:
            clear(inode.extents, start, min(end, PART))
        if end <= PART:
            return
        for number in self._tree.part_numbers(inode.ino):
            begin = number * PART
            if begin < end and begin + PART > start:
                part = self._tree.writable_part(inode, number)
                clear(part.extents, max(start - begin, 0), min(end - begin, PART))

    def _punch(self, record: records.Punch) -> None:
        inode = self._touch(record.ino, record.t, content=True)
        self._make_hole(inode, record.off, min(record.off + record.len, inode.size))
        inode.size = record.size

    def _clone(self, record: records.Clone) -> None:
        source = self._tree.inode(record.src)
        if source is None:
            raise KeyError(record.src)
        taken: list[tuple[int, Extent]] = []
        for number, begin, size in parts_of(record.off, record.len):
            extents = source.extents
            if number:
                part = self._tree.part(record.src, number)
                extents = part.extents if part else []
            taken += [
                (number * PART + extent.offset, extent)
                for extent in window(extents, begin, begin + size)
            ]
        inode = self._touch(record.ino, record.t, content=True)
        end = record.to + record.len
        self._make_hole(inode, record.to, min(end, inode.size))
        for offset, extent in taken:
            self._place_clone(inode, offset - record.off + record.to, extent)
        inode.size = max(inode.size, end)

    def _place_clone(self, inode: Inode, offset: int, extent: Extent) -> None:
        batch = self._tree.batch
        if extent.segment:
            batch.floor_segment = min(batch.floor_segment, extent.segment)
        elif self._tree.cloned is not None:
            self._tree.cloned.add(extent.base)
        at = extent.at
        for number, begin, size in parts_of(offset, extent.length):
            place(
                self._extents(inode, number),
                extent._replace(offset=begin, length=size, at=at),
            )
            at += size

    def _setxattr(self, record: records.Setxattr) -> None:
        inode = self._touch(record.ino, record.t, content=False)
        xattrs = dict(inode.xattrs or {})
        name = bytes_of(record.name)
        if record.value is None:
            xattrs.pop(name, None)
        else:
            xattrs[name] = record.value
        inode.xattrs = xattrs or None

    def _link(self, record: records.Link) -> None:
        t, name = record.t, bytes_of(record.name)
        parent = self._touch_unless(record.brought, record)
        if record.brought:
            inode = self._tree.writable(record.ino)
        else:
            was_open = self._is_open(self._tree.writable(record.ino), t)
            inode = self._touch(record.ino, t, content=False)
            if record.replace:
                begin = self._vacate(parent, name, t)
                if was_open:
                    inode.floor = max(inode.floor, begin)
        inode.nlink += 1
        self._tree.orphans.discard(record.ino)
        self._bind(parent, name, inode, t, cookie_of(record.seq))

    def _unlink(self, record: records.Unlink | records.Rmdir) -> None:
        name = bytes_of(record.name)
        dentry, inode = self._named(record.dir, name)
        effective = record.effective if isinstance(record, records.Unlink) else None
        self._end(record.dir, name, dentry, inode, record.t, effective)
        if effective is None:
            parent = self._touch(record.dir, record.t, content=True)
        else:
            parent = self._tree.writable(record.dir)
        self._unbind(parent, name, dentry, inode)
        inode = self._tree.writable(inode.ino)
        if effective is None:
            self._vacate_young(record, name, dentry, inode)
        self._lose_name(inode, record.t)

    def _vacate_young(
        self, record: records.Unlink | records.Rmdir, name: bytes, dentry: Dentry, inode: Inode
    ) -> None:
        """Remember a name without a trace that days before this one had shown already."""
        t = record.t
        if dentry.made != inode.version or not self._is_open(inode, t) or inode.is_directory:
            return
        begin = inode.effective()
        if begin < t and not self._tree.calendar.same_day(begin, t):
            self._tree.vacate(record.dir, name, Vacated(inode.ino, begin, t))
            inode.seen = True

    def _named(self, parent: int, name: bytes) -> tuple[Dentry, Inode]:
        dentry = self._tree.dentry(parent, name)
        inode = self._tree.inode(dentry.ino) if dentry else None
        if dentry is None or inode is None:
            raise KeyError(name)
        return dentry, inode

    def _rename(self, record: records.Rename) -> None:
        name, target = bytes_of(record.name), bytes_of(record.as_)
        t = record.t
        dentry, inode = self._named(record.dir, name)
        other = self._tree.dentry(record.to, target)
        after = NEVER
        if record.exchange:
            before = self._note_replaced(record.dir, name, dentry, self._tree.writable(inode.ino))
        else:
            self._end(record.dir, name, dentry, inode, t)
        parent = self._touch(record.dir, t, content=True)
        heir = self._touch(record.to, t, content=True)
        was_open = self._is_open(self._tree.writable(inode.ino), t)
        inode = self._touch(inode.ino, t, content=False)
        self._unbind(parent, name, dentry, inode)
        if other is not None:
            taken = self._tree.writable(other.ino)
            self._unbind(heir, target, other, taken)
            if record.exchange:
                after = self._swap(record, other, taken, before)
            else:
                begin = self._replace(record.to, target, other, t)
                if was_open:
                    inode.floor = max(inode.floor, begin)
        self._bind(heir, target, inode, t, cookie_of(record.seq), after)

    def _swap(self, record: records.Rename, other: Dentry, taken: Inode, before: int) -> int:
        """Give the other inode of an exchange the name that came free, which had begun ``before``.

        Return when the name that it gives up had begun.
        """
        t = record.t
        after = self._note_replaced(record.to, bytes_of(record.as_), other, taken)
        taken = self._touch(taken.ino, t, content=False)
        parent = self._tree.writable(record.dir)
        cookie = cookie_of(record.seq, second=True)
        self._bind(parent, bytes_of(record.name), taken, t, cookie, before)
        return after

    # Packing

    def _archive(self, record: records.Archive) -> None:
        self._tree.next_archive = max(self._tree.next_archive, record.arc + 1)
        self._tree.batch.archives[record.arc] = (record.members, record.bytes)

    def _content(self, record: records.Content) -> None:
        self._tree.next_content = max(self._tree.next_content, record.cid + 1)
        digest = bytes.fromhex(record.sha256)
        self._tree.batch.contents[record.cid] = ContentRow(
            digest, record.arc, record.at, record.len
        )

    def _pack(self, record: records.Pack) -> None:
        inode = self._tree.inode(record.ino)
        moved = record.src or []
        if inode is not None:
            inode = self._tree.writable(record.ino)
            if record.part == 0:
                extents = inode.extents
            else:
                part = self._tree.part(record.ino, record.part)
                extents = part.extents if part else []
            if record.src is None:
                moved = [(e.offset, e.segment, e.at, e.length) for e in extents if e.segment]
            packed = relocate(extents, moved, record.cid)
            if record.part == 0:
                inode.extents = packed
            elif packed:
                self._repack_part(inode, record.part, packed)
        if inode is None or inode.version > 1 or inode.nlink == 0:
            event = Packed(record.ino, record.part, record.cid, moved)
            self._tree.batch.events.append(event)

    def _repack_part(self, inode: Inode, number: int, extents: list[Extent]) -> None:
        part = self._tree.part(inode.ino, number)
        assert part is not None
        self._tree.put_part(inode.ino, number, Part(extents, part.version))

    def _move(self, record: records.Move) -> None:
        content = self._tree.content(record.cid)
        if content is not None:
            self._tree.batch.contents[record.cid] = content._replace(
                archive=record.arc, at=record.at
            )

    def _forget(self, record: records.Forget) -> None:
        self._tree.batch.contents[record.cid] = None

    def _drop(self, record: records.Drop) -> None:
        self._tree.batch.archives[record.arc] = None

    def _sweep(self, record: records.Sweep) -> None:
        batch = self._tree.batch
        batch.events.append(Swept(record.seq, record.t, record.first, record.last))
        batch.sealed = True
        self._tree.closed = max(self._tree.closed, record.t)


def _is_first(dentry: Dentry, inode: Inode) -> bool:
    """Return whether a name is as old as the directory that it stands for."""
    return dentry.made == 1 and inode.is_directory


def _set_times(inode: Inode, mtime: int, atime: int | None) -> None:
    """Give a new inode the times that it brings along."""
    inode.explicit = mtime != inode.last
    inode.mtime = mtime
    inode.atime = mtime if atime is None else atime
