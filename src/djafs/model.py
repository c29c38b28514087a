"""The words of djafs as values: inodes, dentries, versions, days.

Times are integer nanoseconds since the epoch; *recorded* times come from the daemon's clock,
*effective* times decide what a snapshot shows (docs/architecture.md, "Effective time").
"""

from __future__ import annotations

import stat
from datetime import date, datetime, timedelta, timezone, tzinfo
from operator import attrgetter
from typing import NamedTuple

from djafs.extents import Extent

LIVE_ROOT = 2
"""Inode number of ``live/``; files and directories in it count up from the next one."""

FIRST_COOKIE = 16
"""Directory cookies below this are reserved (``.`` and ``..``)."""

SPAN = 60 * 10**9
"""A version is open until nothing has changed for so long (nanoseconds)."""


NEVER = -(1 << 62)
"""Effective time of "nothing was there before"."""


def effective_time(content: bool, floor: int, mtime: int, last: int) -> int:
    """Return when a version counts as having begun; the arguments are fields of :class:`Inode`."""
    if content and floor < mtime <= last:
        return mtime
    return max(last, floor + 1)


class Dentry(NamedTuple):
    """A name of the live tree.

    ``cookie`` orders the entries of a directory and is never used twice in it. A binding that
    was made while version ``made`` of its inode was open begins with that version; otherwise
    ``made`` is 0 and it begins at ``begin``.
    """

    ino: int
    cookie: int
    begin: int = 0
    made: int = 0


class Part:
    """The extents of one part of a large file, and the version that they belong to."""

    __slots__ = ("extents", "version")

    def __init__(self, extents: list[Extent], version: int) -> None:
        self.extents = extents
        self.version = version


class Inode:
    """The current state of an inode, and what is needed to tell when that state began.

    Invariants: ``version >= 1``; ``floor`` is the effective time of what this version replaces;
    ``last`` is the recorded time of the last change; ``extents`` are those of part 0.
    """

    __slots__ = (
        "atime", "born", "content", "ctime", "entries", "explicit", "extents", "files", "floor",
        "generation", "gid", "ino", "last", "mode", "mtime", "nlink", "parent", "rdev",
        "seen", "size", "target", "uid", "version", "xattrs",
    )  # fmt: skip

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    atime: int
    mtime: int
    ctime: int
    parent: int  # of a directory
    entries: int  # names in a directory
    files: int  # of these, names of regular files
    target: bytes | None  # of a symlink
    xattrs: dict[bytes, bytes] | None
    extents: list[Extent]
    version: int
    last: int
    floor: int  # effective time of what this version replaces, NEVER for nothing
    content: bool  # the version changed content, not attributes alone
    explicit: bool  # a modification time was set since content last changed
    born: dict[int, int] | None  # effective times of closed versions that bindings began with
    seen: bool  # a binding of this inode is part of history
    generation: int  # of the batch of changes that this object belongs to

    def __init__(self, ino: int, mode: int, uid: int, gid: int, t: int) -> None:
        self.ino = ino
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.nlink = 1
        self.rdev = self.size = self.parent = self.entries = self.files = 0
        self.atime = self.mtime = self.ctime = self.last = t
        self.target = None
        self.xattrs = None
        self.extents = []
        self.version = 1
        self.floor = NEVER
        self.content = True
        self.explicit = False
        self.born = None
        self.seen = False
        self.generation = 0

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return self.mode & 0o170000 == stat.S_IFDIR

    @property
    def is_regular(self) -> bool:
        """Whether this is a regular file."""
        return self.mode & 0o170000 == stat.S_IFREG

    def copy(self) -> Inode:
        """Return an independent copy; extents are values and are shared, their lists are not."""
        twin = Inode.__new__(Inode)
        (
            twin.atime, twin.born, twin.content, twin.ctime, twin.entries, twin.explicit,
            twin.extents, twin.files, twin.floor, twin.generation, twin.gid, twin.ino, twin.last,
            twin.mode, twin.mtime, twin.nlink, twin.parent, twin.rdev, twin.seen, twin.size,
            twin.target, twin.uid, twin.version, twin.xattrs,
        ) = _fields(self)  # fmt: skip
        twin.extents = twin.extents.copy()
        return twin

    def effective(self) -> int:
        """Return the effective time of the current version, as it stands so far."""
        return effective_time(self.content, self.floor, self.mtime, self.last)

    def began(self, made: int) -> int:
        """Return the effective time of version ``made``, with which a binding began."""
        if made == self.version or self.born is None:
            return self.effective()
        return self.born.get(made, self.floor)


_fields = attrgetter(*Inode.__slots__)


class Calendar:
    """Days of the store's time zone, as proleptic ordinals (``date.toordinal``)."""

    def __init__(self, zone: tzinfo = timezone.utc) -> None:
        self._zone = zone
        # One value, replaced whole: threads may share a calendar.
        self._known = (0, 0, 0)  # first nanosecond, first nanosecond after, day

    def day_of(self, t: int) -> int:
        """Return the day in which ``t`` falls."""
        begin, end, day = self._known
        if begin <= t < end:
            return day
        if self._zone is timezone.utc:
            day = min(max(t // _DAY + _EPOCH_DAY, 1), _LAST_DAY)
            begin = (day - _EPOCH_DAY) * _DAY
            self._known = (begin, begin + _DAY, day)
            return day
        try:
            day = datetime.fromtimestamp(t // 10**9, self._zone).date().toordinal()
        except (OverflowError, ValueError, OSError):
            return date.max.toordinal() if t > 0 else 1
        begin, end = self.begin_of(day), self.end_of(day)
        if begin <= t < end:  # else the zone changed sides of the date line
            self._known = (begin, end, day)
        return day

    def same_day(self, t: int, other: int) -> bool:
        """Return whether two times fall in one day."""
        begin, end, _ = self._known
        if begin <= t < end and begin <= other < end:
            return True
        day = self.day_of(t)
        if day != self.day_of(other):
            return False
        if self._zone is timezone.utc:  # the other zones were remembered by day_of
            begin = (day - _EPOCH_DAY) * _DAY
            self._known = (begin, begin + _DAY, day)
        return True

    def begin_of(self, day: int) -> int:
        """Return the first nanosecond of a day."""
        midnight = datetime.combine(date.fromordinal(day), datetime.min.time(), self._zone)
        return int((midnight - _EPOCH) // timedelta(microseconds=1)) * 1000

    def end_of(self, day: int) -> int:
        """Return the first nanosecond after a day."""
        if day >= date.max.toordinal() - 1:
            return 1 << 63
        return self.begin_of(day + 1)


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_DAY = _EPOCH.toordinal()
_LAST_DAY = date.max.toordinal()
_DAY = 86400 * 10**9
