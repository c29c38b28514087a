"""From a plan to an archive that can be trusted, in the order that makes it so.

1. Each item is read, with its checksums verified, and hashed. One whose content is in the plan or
   the store already is not written again; one that cannot be read is set aside.
2. The archive is ended and made durable, under its draft name.
3. It is read back from the disk: every frame, every member, the SHA-256 of every content.

Only then is anything reported. Whatever fails before removes the draft and changes nothing
(docs/formats/archive.md, docs/ordering.md).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from djafs.disk import tar
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.archive_scan import ArchiveScan
from djafs.disk.archive_writer import ArchiveWriter, Member
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError, DamageError, PackingError
from djafs.extents import PART
from djafs.packing.pieces import PieceReader
from djafs.packing.plan import FailedItem, PackedItem, PackItem, PackPlan, PackResult

Known = Callable[[bytes], int | None]
"""Returns the id of the content that has a SHA-256 digest, or None."""


def pack(
    plan: PackPlan, layout: Layout, known: Known, *, host: Host | None = None, threads: int = 0
) -> PackResult:
    """Carry out ``plan``; on return the archive is under its draft name, durable and verified.

    Compresses with ``threads`` threads beside the caller's. Needs memory for one item and some
    frames, and some 300 bytes for each item. Raises OSError if the archive cannot be written,
    PackingError if it does not read back.
    """
    run = _Run(plan, layout, known, host or Host(), threads)
    try:
        for item in plan.items:
            run.take(item)
        metadata = run.finish()
    except BaseException:
        run.abort()
        raise
    finally:
        run.pieces.close()
    return PackResult(run.items, run.failed, metadata)


class _Run:
    """The state of one packing."""

    def __init__(
        self, plan: PackPlan, layout: Layout, known: Known, host: Host, threads: int
    ) -> None:
        self.items: list[PackedItem] = []
        self.failed: list[FailedItem] = []
        self.pieces = PieceReader(layout)
        self._plan = plan
        self._path = layout.archive_draft(plan.archive)
        self._known = known
        self._host = host
        self._threads = threads
        self._writer: ArchiveWriter | None = None  # begun with the first content that is new
        self._written: list[Member] = []  # in the order of the tar
        self._keys: dict[bytes, int] = {}  # digests of _written, and the items they are from

    def take(self, item: PackItem) -> None:
        """Pack one item, or set it aside if it cannot be read."""
        try:
            self.items.append(self._packed(item))
        except (DamageError, tar.TarFormatError) as error:
            self.failed.append(FailedItem(item.key, str(error)))

    def _packed(self, item: PackItem) -> PackedItem:
        size = item.size
        if size > PART:  # whole items are held in memory
            raise PackingError(f"item {item.key} of the plan has {size} bytes, more than a part")
        chunks = list(self.pieces.chunks(item.pieces))
        sha = hashlib.sha256()
        for chunk in chunks:
            sha.update(chunk)
        digest = sha.digest()
        key = self._keys.get(digest)
        if key is not None:
            return PackedItem(item.key, digest, size, same_as=key)
        content = self._known(digest) if self._plan.find_known else None
        if content is not None:
            return PackedItem(item.key, digest, size, content=content)
        entry = tar.Entry(item.name, size, item.mtime_ns, item.mode, item.uid, item.gid)
        member = self._begun().add(entry, chunks, digest)
        self._written.append(member)
        self._keys[digest] = item.key
        return PackedItem(item.key, digest, size, at=member.at)

    def _begun(self) -> ArchiveWriter:
        if self._writer is None:
            self._writer = ArchiveWriter(
                self._host,
                self._path,
                archive=self._plan.archive,
                level=self._plan.level,
                threads=self._threads,
            )
        return self._writer

    def finish(self) -> ArchiveMetadata | None:
        """Finish the archive and read it back; None if there is none."""
        if self._writer is None:
            return None
        if not self._written:
            self.abort()
            return None
        metadata = self._writer.finish()
        try:
            read_back(self._path, self._written, metadata)
        except ArchiveDamageError as damage:
            raise PackingError(f"what was written does not read back: {damage}") from damage
        return metadata

    def abort(self) -> None:
        """Remove the draft, if there is one."""
        if self._writer is None:
            return
        self._writer.abort()
        if os.path.lexists(self._path):  # it was finished, and did not read back
            self._host.unlink(self._path, "archive.unlink")


def read_back(path: str, written: list[Member], metadata: ArchiveMetadata) -> None:
    """Read an archive that was just finished from the disk (raises ArchiveDamageError)."""
    _drop_from_memory(path)
    scan = ArchiveScan(path)
    members = iter(written)
    for found in scan:
        expected = next(members, None)
        if expected is None or found[1:] != expected:
            raise ArchiveDamageError(
                f"archive {path} is damaged: its member at {found.at} is not what was written there"
            )
    if next(members, None) is not None or scan.file_digest != metadata.sha256:
        raise ArchiveDamageError(f"archive {path} is damaged: it is not what was written")


def _drop_from_memory(path: str) -> None:
    """Ask the kernel to forget its copy of a synced file, so that reading it reads the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
