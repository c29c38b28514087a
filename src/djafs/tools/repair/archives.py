"""Archives that can be had again bit for bit, and their metadata.

Recovery data is tried first, then the frames: where they are all whole, the seek table is made
again. What comes out is only taken for the archive if it has its SHA-256, or, where that is lost
too, if it holds every content that the log knows in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from djafs.disk import archive_metadata, parity, tar
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_scan import ArchiveScan, ScannedMember
from djafs.disk.frame_scan import table_of
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.log_closing import drop_from_memory
from djafs.errors import ArchiveDamageError, ParityError
from djafs.packing.members import held_in
from djafs.store.aside import Aside, write_durably
from djafs.store.repairing import Replace

_STEP = 1 << 20


class ArchiveRepair:
    """Makes drafts of archives and of their metadata."""

    def __init__(self, host: Host, layout: Layout, aside: Aside, index: Index) -> None:
        self._host, self._layout, self._aside = host, layout, aside
        self._index = index
        self._db = index.connection
        self.untried: set[int] = set()
        """Archives whose recovery data could not be used: they may yet be whole again."""

    def whole_again(self, archive: int, say: Callable[[str], None]) -> Replace | None:
        """Make a draft of the archive as it was; None if that cannot be done."""
        self._aside.prepare()
        draft = os.path.join(self._aside.path, f"{archive:08d}.tar.zst.tmp")
        for make, how in (
            (self._by_parity, "from its recovery data"),
            (self._by_frames, "its seek table was made again"),
        ):
            with suppress(FileNotFoundError):
                self._host.unlink(draft, "repair.unlink-draft")
            try:
                if make(archive, draft) and self._is_whole(archive, draft):
                    say(f"{self._where(archive)}: whole again, bit for bit: {how}")
                    return Replace(self._where(archive), self._relative(draft), archive)
            except (ParityError, OSError) as error:
                if make == self._by_parity:
                    self.untried.add(archive)
                say(f"{self._where(archive)}: not repaired {how}: {error}")
        with suppress(FileNotFoundError):
            self._host.unlink(draft, "repair.unlink-draft")
        return None

    def _where(self, archive: int) -> str:
        return self._relative(self._layout.archive(archive))

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._layout.root)

    def _by_parity(self, archive: int, draft: str) -> bool:
        row = self._db.execute("SELECT bytes FROM archive WHERE archive = ?", (archive,)).fetchone()
        size = row[0] if row else None
        return parity.repair(self._layout, archive, draft, size, host=self._host)

    def _by_frames(self, archive: int, draft: str) -> bool:
        path = self._layout.archive(archive)
        if not os.path.isfile(path) or os.path.islink(path):
            return False
        found = table_of(path)
        if found is None:
            return False
        end, tail = found
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = self._host.open(draft, flags, "repair.create")
        try:
            with open(path, "rb") as file:
                for at in range(0, end, _STEP):
                    data = file.read(min(_STEP, end - at))
                    self._host.pwrite(descriptor, data, at, "repair.write")
            self._host.pwrite(descriptor, tail, end, "repair.write")
            self._host.sync(descriptor, "repair.sync")
        finally:
            self._host.close(descriptor)
        drop_from_memory(draft)
        return True

    def _is_whole(self, archive: int, draft: str) -> bool:
        """Return whether a draft is what the archive was."""
        problems: list[ArchiveDamageError] = []
        scan = ArchiveScan(draft, problems.append)
        known = {tuple(held[1:]) for held in held_in(self._index, archive)}
        members = 0
        for member in scan:
            members += 1
            known.discard(tuple(member[1:]))
        stated = self._stated(archive)
        if problems or known:
            return False
        if stated is not None:
            return stated.sha256 == scan.file_digest
        query = "SELECT members, bytes FROM archive WHERE archive = ?"
        row = self._db.execute(query, (archive,)).fetchone()
        return bool(row == (members, scan.size))

    def has_metadata(self, archive: int) -> bool:
        """Return whether the metadata of an archive can be read."""
        return self._stated(archive) is not None

    def _stated(self, archive: int) -> ArchiveMetadata | None:
        path = self._layout.archive_metadata(archive)
        with suppress(OSError, ArchiveDamageError, UnicodeDecodeError), open(path, "rb") as file:
            found = archive_metadata.decode(file.read(_STEP), path)
            return found if found.archive == archive else None
        return None

    def metadata(self, archive: int, draft_of_archive: str | None) -> Replace | None:
        """Make a draft of the metadata of an archive that is whole; None if it is not.

        ``draft_of_archive`` is the archive, if that has not got its place yet.
        """
        path = self._layout.archive_metadata(archive)
        problems: list[ArchiveDamageError] = []
        source = self._layout.archive(archive)
        if draft_of_archive is not None:
            source = os.path.join(self._layout.root, draft_of_archive)
        scan = ArchiveScan(source, problems.append)
        members = list(scan)
        if problems or not members:
            return None
        sizes = [member.size for member in members]
        old = _salvaged(path)
        times = list(_times(source, members))
        made = ArchiveMetadata(
            archive=archive,
            members=len(sizes),
            content_bytes=sum(sizes),
            tar_bytes=scan.tar_size,
            compressed_bytes=scan.size,
            frames=scan.frames,
            # The tar has whole seconds.
            oldest_ns=_within(old.get("oldest_ns"), min(times)),
            newest_ns=_within(old.get("newest_ns"), max(times)),
            level=old.get("level", 0) if 0 < old.get("level", 0) <= 22 else 0,
            sha256=scan.file_digest,
            created_ns=old.get("created_ns", os.stat(source).st_mtime_ns),
        )
        self._aside.prepare()
        draft = os.path.join(self._aside.path, f"{archive:08d}.djfm.tmp")
        write_durably(self._host, draft, archive_metadata.encode(made))
        return Replace(self._relative(path), self._relative(draft), archive)


def _salvaged(path: str) -> dict[str, int]:
    """Return the numbers that can still be read in damaged metadata."""
    with suppress(OSError), open(path, "rb") as file:
        found = re.findall(rb'"(\w+)": (-?\d{1,19})[,\n]', file.read(_STEP))
        return {key.decode(): int(value) for key, value in found}
    return {}


def _times(path: str, members: Iterable[ScannedMember]) -> Iterator[int]:
    """Yield the modification time of each member, in whole seconds, as nanoseconds."""
    reader = ArchiveReader(path)
    number, frame = -1, b""
    for member in members:
        at = member.at - tar.BLOCK  # of its header
        if reader.table.frame_at(at) != number:
            number = reader.table.frame_at(at)
            frame = reader.frame(number)
        begin = at - reader.table.tar[number]
        yield tar.parse_entry(frame[begin : begin + tar.BLOCK], {}).mtime_ns
    reader.close()


def _within(salvaged: int | None, second: int) -> int:
    """Return a time in nanoseconds if it lies in the second that is known."""
    if salvaged is None or salvaged // 10**9 != second // 10**9:
        return second
    return salvaged
