"""A batch: the changes between two positions of the lookup log, on their way to the index.

The answering thread fills a batch and reads through it; once it is handed over to be written it
does not change any more. History is kept as a list of events, in the order of the log, because
what they do to the index depends on what is there.
"""

from __future__ import annotations

from typing import NamedTuple

from djafs.disk.lookup_line import Position
from djafs.extents import Extent
from djafs.model import Dentry, Inode, Part


class VersionClosed(NamedTuple):
    """A version ended, as ``state`` describes it; it had begun at ``begin``."""

    state: Inode
    begin: int


class PartClosed(NamedTuple):
    """What a part was, for all versions up to and with ``until``."""

    ino: int
    part: int
    until: int
    extents: list[Extent]


class BindingEnded(NamedTuple):
    """A name was removed or renamed away at recorded time ``t``.

    ``first`` is true of a directory whose first version the name began with: it may be older.
    ``trace`` is False for a name that was given and taken while one version was open.
    """

    parent: int
    name: bytes
    ino: int
    begin: int
    first: bool
    t: int
    trace: bool


class BindingReplaced(NamedTuple):
    """A name was given to another inode; it keeps what it showed until that one begins.

    ``gap`` is when it had been removed, if it was: just before, and without a trace.
    """

    parent: int
    name: bytes
    ino: int
    begin: int
    first: bool
    gap: int | None = None


class NameBeforeDirectory(NamedTuple):
    """A name was given at ``t`` in a directory that is younger: the clock was set back."""

    directory: int
    t: int


class InodeGone(NamedTuple):
    """An inode lost its last name; without ``seen`` no snapshot can show it."""

    ino: int
    seen: bool


class Packed(NamedTuple):
    """Hot extents (``moved``: (segment, at) -> (offset in the content, length)) became ``cid``.

    With ``cut`` parts of extents did as well.
    """

    ino: int
    part: int
    cid: int
    moved: list[tuple[int, int, int, int]]
    cut: bool = False


class Swept(NamedTuple):
    """History of inodes ``first`` to ``last`` that was out of reach at ``t`` went."""

    seq: int
    t: int
    first: int
    last: int


Event = (
    VersionClosed | PartClosed | BindingEnded | BindingReplaced | NameBeforeDirectory | InodeGone
    | Packed | Swept
)  # fmt: skip


class ContentRow(NamedTuple):
    """A content and where it lies."""

    digest: bytes
    archive: int
    at: int
    size: int


class Vacated(NamedTuple):
    """A name that lost an open version at ``t`` which days before it had shown from ``begin`` on.

    Given to another inode before long, it was replaced: this is what ``tar -x`` does.
    """

    ino: int
    begin: int
    t: int


class Batch:
    """Changes that the index does not have yet."""

    __slots__ = (
        "archives", "contents", "events", "floor_segment", "inodes", "last_segment", "names",
        "next_archive", "next_content", "next_ino", "parts", "position", "removed", "sealed",
        "vacated",
    )  # fmt: skip

    def __init__(self, position: Position, next_ino: int, content: int, archive: int) -> None:
        self.position = position
        self.next_ino = next_ino
        self.next_content = content
        self.next_archive = archive
        self.last_segment = 0
        self.inodes: dict[int, Inode | None] = {}
        self.names: dict[int, dict[bytes, Dentry | None]] = {}
        self.removed: list[tuple[int, int]] = []  # (parent, cookie)
        self.parts: dict[tuple[int, int], Part | None] = {}
        self.events: list[Event] = []
        self.contents: dict[int, ContentRow | None] = {}
        self.archives: dict[int, tuple[int, int] | None] = {}  # (members, bytes)
        self.vacated: dict[tuple[int, bytes], Vacated] | None = None  # all of them, if changed
        self.floor_segment = 1 << 62  # smallest hot segment that it refers to
        self.sealed = False  # nothing may follow: its last event looks at the rows of live inodes

    def __len__(self) -> int:
        return (
            len(self.inodes)
            + len(self.parts)
            + len(self.removed)
            + len(self.events)
            + len(self.contents)
            + len(self.archives)
        )
