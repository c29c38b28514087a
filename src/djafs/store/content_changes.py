"""What the records of content and attributes do."""

from __future__ import annotations

from djafs.disk import records
from djafs.disk.hot_log import pack_checksums
from djafs.disk.records import bytes_of
from djafs.extents import PART, Extent, clear, place, window
from djafs.model import Inode
from djafs.store.tree import Tree, parts_of
from djafs.store.versions import Versions

_CAPABILITY = b"security.capability"
"""Extended attribute that a file loses with the first write, as set-user-ID does."""


class ContentChanges:
    """Applies these records to a tree; each method takes those that are called like it."""

    def __init__(self, tree: Tree, versions: Versions) -> None:
        self._tree = tree
        self._versions = versions

    def write(self, record: records.Write) -> None:
        """Put a run of the hot log over what a file has there."""
        inode = self._versions.touch(record.ino, record.t, content=True)
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

    def setattr(self, record: records.Setattr) -> None:
        """Set attributes, the size among them."""
        t = record.t
        inode = self._versions.touch(record.ino, t, content=record.size is not None)
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

    def setxattr(self, record: records.Setxattr) -> None:
        """Set or remove an extended attribute."""
        inode = self._versions.touch(record.ino, record.t, content=False)
        xattrs = dict(inode.xattrs or {})
        name = bytes_of(record.name)
        if record.value is None:
            xattrs.pop(name, None)
        else:
            xattrs[name] = record.value
        inode.xattrs = xattrs or None

    def punch(self, record: records.Punch) -> None:
        """Make a hole, and set the size."""
        inode = self._versions.touch(record.ino, record.t, content=True)
        self._make_hole(inode, record.off, min(record.off + record.len, inode.size))
        inode.size = record.size

    def clone(self, record: records.Clone) -> None:
        """Let a range of a file hold what another range holds (raises KeyError)."""
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
        inode = self._versions.touch(record.ino, record.t, content=True)
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

    def place_parts(self, inode: Inode, contents: list[int]) -> None:
        """Give a new file its parts, each a content by number, or a hole where that is 0."""
        for number, cid in enumerate(contents):
            if cid:
                length = min(PART, inode.size - number * PART)
                self._extents(inode, number).append(Extent(0, length, 0, 0, cid))

    def _extents(self, inode: Inode, number: int) -> list[Extent]:
        if number == 0:
            return inode.extents
        return self._tree.writable_part(inode, number).extents
