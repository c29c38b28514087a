"""Chooses what to pack: content in the hot log that has come to rest, oldest segment first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from djafs.disk import rows, sqlite, states
from djafs.disk.index import DEPTH, Index
from djafs.disk.lost import NOWHERE
from djafs.errors import ArchiveDamageError
from djafs.extents import PART, ArchivedPiece, Extent, HolePiece, HotPiece, Piece
from djafs.model import LIVE_ROOT, Inode
from djafs.packing.plan import PackItem, member_name

MOST_ITEMS = 10_000
"""Contents of one archive at most: its plan and its result are kept in memory."""

MOST_BYTES = 256 << 20
"""Bytes of content in one archive at most, but for the last item."""

LARGE = 1 << 20
"""Archived bytes of a part from which on a small change of it may wait."""

SHARE = 16
"""A change is small that is so many times smaller than what is archived of its part."""


class Chosen(NamedTuple):
    """What an item of a plan stands for: a part of an inode, and the extents it had."""

    ino: int
    part: int
    extents: list[Extent]
    past: bool  # of a version that is history


class Planner:
    """Plans from a connection to the index of its own, so outside of the store's guard."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._paths: dict[int, bytes] = {}

    @property
    def _db(self) -> sqlite.Connection:
        return self._index.connection

    def plan(
        self,
        cutoff: int,
        skip: set[tuple[int, int]],
        most: int = MOST_BYTES,
        patience: int = 0,
    ) -> tuple[list[PackItem], dict[int, Chosen]]:
        """Return the items for one archive in order of their names, and what each stands for.

        ``cutoff`` is the recorded time after which nothing may have changed; ``skip`` holds
        (inode, part) that could not be packed before; ``most`` bytes of content are enough.

        A part is packed as a whole: for a line appended to 16 MiB that are archived, these would
        be written once more. So small changes of large parts wait ``patience`` nanoseconds longer.
        """
        self._paths.clear()
        found: list[tuple[PackItem, Chosen]] = []
        size = 0
        for inode, part, extents, name, past in self._candidates(cutoff):
            if (inode.ino, part) in skip:
                continue
            if inode.last > cutoff - patience and not past and _is_small_change(extents):
                continue
            # What the file does not show any more is packed too, for it is moved as a whole.
            end = extents[-1].offset + extents[-1].length
            length = max(end, min(PART, inode.size - part * PART))
            member = member_name(name, part, max(part + 1, -(-inode.size // PART)))
            item = PackItem(
                len(found),
                member,
                inode.mtime,
                inode.mode & 0o7777,
                inode.uid,
                inode.gid,
                self._pieces(extents, length),
            )
            found.append((item, Chosen(inode.ino, part, extents, past)))
            size += length
            if len(found) >= MOST_ITEMS or size >= most:
                break
        found.sort(key=lambda pair: pair[0].name)
        return [item for item, _ in found], {item.key: chosen for item, chosen in found}

    def unsettled(self, cutoff: int) -> int:
        """Return how many inodes have hot content that changed after ``cutoff``."""
        query = "SELECT count(*) FROM hot WHERE last > ?"
        return int(self._db.execute(query, (cutoff,)).fetchone()[0])

    def _candidates(self, cutoff: int) -> Iterator[tuple[Inode, int, list[Extent], bytes, bool]]:
        query = (
            f"SELECT {states.INODE} FROM hot h CROSS JOIN inode i USING (ino)"
            " WHERE h.last <= ? ORDER BY h.segment LIMIT ?"
        )
        for row in self._db.execute(query, (cutoff, MOST_ITEMS)).fetchall():
            inode = states.inode_of(row)
            yield inode, 0, inode.extents, self._path(inode.ino), False
        query = "SELECT ino, part, extents FROM part WHERE hot IS NOT NULL ORDER BY hot LIMIT ?"
        for ino, part, extents in self._db.execute(query, (MOST_ITEMS,)).fetchall():
            owner = self._index.inode(ino)
            if owner is not None and owner.last <= cutoff:
                yield owner, part, rows.unpack_extents(extents), self._path(ino), False
        yield from self._past()

    def _past(self) -> Iterator[tuple[Inode, int, list[Extent], bytes, bool]]:
        query = f"SELECT {rows.VERSION} FROM version WHERE hot IS NOT NULL ORDER BY hot LIMIT ?"
        for row in self._db.execute(query, (MOST_ITEMS,)).fetchall():
            state = rows.version_of(row)
            if not self._shared(state.ino, state.extents):
                yield state, 0, state.extents, self._past_path(state.ino, row[1]), True
        query = (
            "SELECT ino, part, until, extents FROM past_part WHERE hot IS NOT NULL"
            " ORDER BY hot LIMIT ?"
        )
        for ino, part, until, extents in self._db.execute(query, (MOST_ITEMS,)).fetchall():
            mode, mtime, day = self._version_at(ino, until)
            state = Inode(ino, mode, 0, 0, mtime)
            yield state, part, rows.unpack_extents(extents), self._past_path(ino, day), True

    def _version_at(self, ino: int, until: int) -> tuple[int, int, int]:
        """Return mode, mtime and day of the last version up to ``until`` that history has."""
        row = self._db.execute(
            "SELECT mode, mtime, day FROM version WHERE ino = ? AND version <= ?"
            " ORDER BY version DESC LIMIT 1",
            (ino, until),
        ).fetchone()
        return row or (0o644, 0, 1)

    def _shared(self, ino: int, extents: list[Extent]) -> bool:
        """Return whether packing the live inode takes these extents along."""
        live = self._index.inode(ino)
        if live is None:
            return False
        held = {(extent.segment, extent.at, extent.length) for extent in live.extents}
        return all((e.segment, e.at, e.length) in held for e in extents if e.segment)

    def _pieces(self, extents: list[Extent], length: int) -> list[Piece]:
        found: list[Piece] = []
        at = 0
        for extent in extents:
            if extent.offset > at:
                found.append(HolePiece(extent.offset - at))
            found.append(self._piece(extent, extent.length))
            at = extent.offset + extent.length
        if at < length:
            found.append(HolePiece(length - at))
        return found

    def _piece(self, extent: Extent, size: int) -> Piece:
        if extent.segment:
            _, _, segment, at, base, span, crcs = extent
            return HotPiece(size, segment, at, base, span, crcs)
        content = self._index.content(extent.base)
        if content is None:
            raise ArchiveDamageError(f"content {extent.base} is in no archive; run djafs validate")
        if content.archive == NOWHERE:  # the file goes on referring to the lost content there
            return HolePiece(size)
        return ArchivedPiece(size, content.archive, content.at + extent.at)

    # Names of members

    def _path(self, ino: int) -> bytes:
        row = self._db.execute(
            "SELECT parent, name FROM dentry WHERE ino = ? LIMIT 1", (ino,)
        ).fetchone()
        if row is None:
            return b".djafs/unlinked/%d" % ino
        parent = self._directory(row[0])
        return parent + row[1] if parent is not None else b".djafs/lost/%d" % ino

    def _directory(self, ino: int) -> bytes | None:
        """Return the path of a live directory with a slash at its end, None if it has none."""
        missing: list[tuple[int, bytes]] = []
        while ino != LIVE_ROOT and ino not in self._paths:
            row = self._db.execute(
                "SELECT parent, name FROM dentry WHERE ino = ? LIMIT 1", (ino,)
            ).fetchone()
            if row is None or len(missing) > DEPTH:
                return None
            missing.append((ino, row[1]))
            ino = row[0]
        path = self._paths.get(ino, b"")
        for number, name in reversed(missing):
            path = self._paths[number] = b"%s%s/" % (path, name)
        return path

    def _past_path(self, ino: int, day: int) -> bytes:
        row = self._db.execute(
            "SELECT parent, name FROM binding WHERE ino = ? LIMIT 1", (ino,)
        ).fetchone()
        parent = self._directory(row[0]) if row else None
        path = parent + row[1] if parent is not None else b"%d" % ino
        return b".djafs/%s/%s" % (date.fromordinal(day).isoformat().encode(), path)


def _is_small_change(extents: list[Extent]) -> bool:
    """Return whether little of a part is hot beside what is archived of it."""
    hot = sum(extent.length for extent in extents if extent.segment)
    archived = sum(extent.length for extent in extents) - hot
    return archived >= LARGE and hot * SHARE < archived
