"""What is to be packed, and what has become of it. Values only: no disk, no process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.extents import Piece


class PackItem(NamedTuple):
    """One part of one version of a file, at most :data:`djafs.extents.PART` bytes.

    ``key`` is the planner's own, unique in its plan, and comes back with the result. Pieces follow
    one another in the order of the content, holes included.
    """

    key: int
    name: bytes  # of the member: member_name()
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    pieces: list[Piece]

    @property
    def size(self) -> int:
        """Bytes of content."""
        return sum(piece.length for piece in self.pieces)


@dataclass(frozen=True)
class PackPlan:
    """Items for one archive, ordered by name so that alike documents share frames.

    ``items`` is consumed once. ``find_known`` says whether contents that the store has already are
    left out; compaction, which moves contents that are known of course, sets it to False.
    """

    archive: int
    items: Iterable[PackItem]
    level: int = 9
    find_known: bool = True


class PackedItem(NamedTuple):
    """Where the content of an item is. Exactly one of the last three is not None."""

    key: int
    digest: bytes  # SHA-256 of the content, 32 bytes
    size: int
    content: int | None = None  # the store has it already, under this content id
    same_as: int | None = None  # key of an earlier item of the plan, whose ``at`` is not None
    at: int | None = None  # in the tar of the new archive


class FailedItem(NamedTuple):
    """An item that could not be read: it stays where it is."""

    key: int
    message: str  # one line


@dataclass(frozen=True)
class PackResult:
    """What has become of each item of a plan, in the plan's order.

    ``metadata`` is that of the archive, finished and durable under
    :meth:`djafs.disk.layout.Layout.archive_draft`; None if nothing new had to be written, and
    then there is no archive.
    """

    items: list[PackedItem] = field(default_factory=list)
    failed: list[FailedItem] = field(default_factory=list)
    metadata: ArchiveMetadata | None = None


def member_name(path: bytes, part: int, parts: int) -> bytes:
    """Return the name of the member for ``part`` (from 0) of a content that has ``parts``.

    Names of parts sort as the parts do, so that ``cat PATH.part-*`` joins them.
    """
    return path if parts <= 1 else b"%s.part-%05d" % (path, part)
