"""What the records of packing and compaction do: where contents lie."""

from __future__ import annotations

from djafs.disk import records
from djafs.disk.batch import ContentRow, Packed
from djafs.disk.relocation import relocate
from djafs.extents import Extent
from djafs.model import Inode, Part
from djafs.store.tree import Tree


class ArchiveChanges:
    """Applies the records of packing to a tree; each method takes those that are called like it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def archive(self, record: records.Archive) -> None:
        """Enter an archive that has its name."""
        self._tree.next_archive = max(self._tree.next_archive, record.arc + 1)
        self._tree.batch.archives[record.arc] = (record.members, record.bytes)

    def content(self, record: records.Content) -> None:
        """Enter a content that an archive holds."""
        self._tree.next_content = max(self._tree.next_content, record.cid + 1)
        digest = bytes.fromhex(record.sha256)
        self._tree.batch.contents[record.cid] = ContentRow(
            digest, record.arc, record.at, record.len
        )

    def pack(self, record: records.Pack) -> None:
        """Let what was hot of a part of a file refer to a content, in every version."""
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
            packed = relocate(extents, moved, record.cid, record.cut)
            if record.part == 0:
                inode.extents = packed
            elif packed:
                self._repack_part(inode, record.part, packed)
        if inode is None or inode.version > 1 or inode.nlink == 0:
            event = Packed(record.ino, record.part, record.cid, moved, record.cut)
            self._tree.batch.events.append(event)

    def _repack_part(self, inode: Inode, number: int, extents: list[Extent]) -> None:
        part = self._tree.part(inode.ino, number)
        assert part is not None
        self._tree.put_part(inode.ino, number, Part(extents, part.version))

    def move(self, record: records.Move) -> None:
        """Note that a content lies in another archive now."""
        content = self._tree.content(record.cid)
        if content is not None:
            self._tree.batch.contents[record.cid] = content._replace(
                archive=record.arc, at=record.at
            )

    def forget(self, record: records.Forget) -> None:
        """Forget a content that nothing refers to."""
        self._tree.batch.contents[record.cid] = None

    def drop(self, record: records.Drop) -> None:
        """Forget an archive."""
        self._tree.batch.archives[record.arc] = None
