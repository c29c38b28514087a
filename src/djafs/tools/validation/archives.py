"""Every archive from end to end, against itself, its metadata, and what the log knows in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from djafs.disk import archive_metadata
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.archive_scan import ArchiveScan, ScannedMember
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.lost import NOWHERE
from djafs.errors import ArchiveDamageError
from djafs.packing.members import Held, held_in
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.findings import Kind, Meter, unmeasured
from djafs.tools.validation.scans import MEMBER, Scanned
from djafs.tools.validation.workspace import Workspace

_MOST_METADATA = 1 << 20


class _Sums(NamedTuple):
    """What the members of an archive come to."""

    members: int
    bytes: int


class ArchiveCheck:
    """Has each archive read once. Contents that cannot be read go to table ``bad_content``."""

    def __init__(
        self,
        index: Index,
        layout: Layout,
        workspace: Workspace,
        scanned: Callable[[int], Scanned | None],
        meter: Meter = unmeasured,
    ) -> None:
        """``scanned`` returns what is known already of an archive that is whole."""
        self._meter = meter
        self._scanned = scanned
        self._index = index
        self._db = index.connection
        self._layout = layout
        self._workspace = workspace
        self.archives = 0
        self.contents = 0
        self.bytes = 0  # compressed

    def run(self) -> Iterator[Suspect]:
        """Yield what is wrong, archive by archive."""
        total = self._db.execute("SELECT coalesce(sum(bytes), 0) FROM archive").fetchone()[0]
        for number in self._index.archives():
            self._meter("archives", self.bytes, total, True)
            if number == NOWHERE:
                yield self._lost()
                continue
            self.archives += 1
            yield from self._check(number)

    def known(self) -> list[int]:
        """Return the archives that the log knows."""
        return [number for (number,) in self._db.execute("SELECT archive FROM archive")]

    def is_known(self, archive: int) -> bool:
        """Return whether the log still knows an archive."""
        query = "SELECT 1 FROM archive WHERE archive = ?"
        listed = self._db.execute(query, (archive,)).fetchone() is not None
        return listed or self._index.is_used(archive)

    def _suspect(self, kind: Kind, path: str, number: int, noun: str) -> Suspect:
        where = os.path.relpath(path, self._layout.root)
        return Suspect(kind, where, self._workspace.affected(), archive=number, noun=noun)

    def _lost(self) -> Suspect:
        """Return what an earlier repair could not bring back."""
        suspect = Suspect(Kind.LOST, "", self._workspace.affected(), noun="contents are lost")
        suspect.lost = True
        for content in held_in(self._index, NOWHERE):
            suspect.add(f"content {content.cid}, {content.size:,} bytes")
            self._spoil(content, suspect)
        return suspect

    def _check(self, number: int) -> Iterator[Suspect]:
        path = self._layout.archive(number)
        contents = held_in(self._index, number)
        missing = _missing(path)
        if missing:
            suspect = self._suspect(Kind.ARCHIVE_MISSING, path, number, "problems")
            suspect.add(missing)
            for content in contents:
                self._spoil(content, suspect)
            yield suspect
            return
        suspect = self._suspect(Kind.ARCHIVE_DAMAGED, path, number, "problems")
        scan = self._scanned(number) or ArchiveScan(
            path, lambda problem: suspect.add(_without(path, problem))
        )
        try:
            sums = self._compare_whole(scan, contents) or self._match(scan, contents, suspect)
        except OSError as error:
            suspect.add(str(error))
            sums = _Sums(0, 0)
            for content in contents:
                self._spoil(content, suspect)
        self.bytes += scan.size
        metadata, wrong = self._metadata(number)
        if not suspect.count:
            if metadata is not None and wrong is None:
                wrong = _differences(metadata, number, scan, sums)
            self._check_members(number, sums, suspect)
        if suspect.count:
            yield suspect
        if wrong is not None:
            problem = self._suspect(
                Kind.METADATA, self._layout.archive_metadata(number), number, "problems"
            )
            problem.add(wrong)
            yield problem

    def _compare_whole(self, scan: ArchiveScan | Scanned, contents: list[Held]) -> _Sums | None:
        """Compare all members and contents at once; return None if they are not the same."""
        if not isinstance(scan, Scanned) or len(scan.members) != len(contents) * MEMBER.size:
            return None
        if scan.members != b"".join([MEMBER.pack(*content[1:]) for content in contents]):
            return None
        self.contents += len(contents)
        return _Sums(len(contents), sum(content.size for content in contents))

    def _match(self, scan: ArchiveScan | Scanned, contents: list[Held], suspect: Suspect) -> _Sums:
        """Pair the members with the contents that the log knows, both in the order of the tar."""
        members = size = 0
        waiting = iter(contents)
        wanted = next(waiting, None)
        for member in scan:
            members += 1
            size += member.size
            while wanted is not None and wanted.at <= member.at:
                self._compare(wanted, member, suspect)
                wanted = next(waiting, None)
        while wanted is not None:
            self._compare(wanted, None, suspect)
            wanted = next(waiting, None)
        return _Sums(members, size)

    def _compare(self, wanted: Held, member: ScannedMember | None, suspect: Suspect) -> None:
        self.contents += 1
        if member is not None and wanted[1:] == member[1:]:
            return
        if member is not None and member.at == wanted.at:
            suspect.add(f"content {wanted.cid} at {wanted.at} of the tar is not what was written")
        elif not suspect.count:
            suspect.add(f"content {wanted.cid} at {wanted.at} of the tar is not there")
        self._spoil(wanted, suspect)

    def _spoil(self, content: Held, suspect: Suspect) -> None:
        (where, number) = (suspect.archive, suspect.affected.number)
        self._workspace.scratch.execute(
            "INSERT OR IGNORE INTO bad_content VALUES (?, ?, ?)", (content.cid, where, number)
        )

    def _check_members(self, number: int, sums: _Sums, suspect: Suspect) -> None:
        row = self._db.execute(
            "SELECT members FROM archive WHERE archive = ?", (number,)
        ).fetchone()
        if row is None:
            suspect.add("the log has contents in it, but not the archive itself")
        elif row[0] != sums.members:
            suspect.add(f"it has {sums.members} members, the log says {row[0]}")

    def _metadata(self, number: int) -> tuple[ArchiveMetadata | None, str | None]:
        path = self._layout.archive_metadata(number)
        try:
            with open(path, "rb") as file:
                content = file.read(_MOST_METADATA)
            metadata = archive_metadata.decode(content, path)
            if archive_metadata.encode(metadata) != content:
                return metadata, "its times, or its form, are not as they were written"
            return metadata, None
        except FileNotFoundError:
            return None, "it is missing"
        except OSError as error:
            return None, f"it cannot be read: {error.strerror}"
        except (ArchiveDamageError, UnicodeDecodeError) as error:
            return None, _without(path, error)


def _missing(path: str) -> str | None:
    """Say why there is no archive at ``path``, None if there is one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if stat.S_ISREG(mode) else "it is not a regular file"


def _without(path: str, problem: Exception) -> str:
    """Return the message of a problem without the path that it is printed after."""
    text = str(problem)
    for prefix in (f"archive {path} ", f"archive metadata {path} "):
        text = text.removeprefix(prefix)
    return text.removeprefix("is damaged ").removeprefix("is damaged: ")


def _differences(
    metadata: ArchiveMetadata, number: int, scan: ArchiveScan | Scanned, sums: _Sums
) -> str | None:
    """Say where metadata is not true of its archive, None if it is."""
    found = {
        "archive": number,
        "members": sums.members,
        "content_bytes": sums.bytes,
        "tar_bytes": scan.tar_size,
        "compressed_bytes": scan.size,
        "frames": scan.frames,
        "sha256": scan.file_digest,
    }
    wrong = [
        f"{key} is {getattr(metadata, key)}, the archive has {value}"
        for key, value in found.items()
        if getattr(metadata, key) != value
    ]
    return "; ".join(wrong) or None
