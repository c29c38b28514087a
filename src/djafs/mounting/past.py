"""``snapshots/``: the mount's root and everything in it that is not ``live/``. Read-only.

Nodes get numbers from a counter, one for each *state* of an inode, so that what the kernel has
cached of a node, attributes and pages, is never wrong. It is told to cache names for no time at
all, because data with old modification times may change any past day: then a name leads to another
node.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from datetime import date
from typing import NamedTuple, TypeVar

from djafs.fuse import (
    FOREVER,
    SECOND,
    Attributes,
    AttributesReply,
    Deferred,
    Entry,
    Request,
    negative_entry,
)
from djafs.model import LIVE_ROOT, Inode
from djafs.mounting.answers import NAME_MAX, attributes_of, refuse
from djafs.mounting.live import LiveOperations
from djafs.mounting.nodes import MOUNT_ROOT, PAST
from djafs.mounting.reading import Reading
from djafs.store.store import Store

SNAPSHOTS = PAST
"""Node of ``snapshots/``."""

LATEST = 0
"""Stands for the day of ``snapshots/latest``."""

_A_MOMENT = SECOND
"""How long the kernel may keep the attributes of directories without an inode.

Only their owner changes, with that of ``live/``. For no time at all, it would ask for those of the
mount's root whenever a program uses a path that leads through it.
"""

T = TypeVar("T")


def number_in(day: int, ino: int) -> int:
    """Return the inode number that the snapshot of a day shows."""
    return (day or 1 << 22) << 40 | ino


class Virtual(NamedTuple):
    """A directory without an inode: ``path`` is () for snapshots, then (year,), (year, month)."""

    path: tuple[int, ...]


class State(NamedTuple):
    """A state of an inode in the snapshot of a day."""

    day: int
    inode: Inode

    @property
    def key(self) -> tuple[int, int, int, int]:
        """What tells states apart: nodes of one key are the same."""
        return (self.day, self.inode.ino, self.inode.version, self.inode.ctime)


class _Node:
    __slots__ = ("count", "what")

    def __init__(self, what: Virtual | State) -> None:
        self.what = what
        self.count = 0


class PastOperations:
    """The operations on nodes that are not inodes of the live tree."""

    def __init__(self, store: Store, live: LiveOperations, reading: Reading) -> None:
        self._store = store
        self._live = live
        self._reading = reading
        self._born = time.time_ns()
        self._nodes: dict[int, _Node] = {SNAPSHOTS: _Node(Virtual(()))}
        self._numbers: dict[object, int] = {Virtual(()): SNAPSHOTS}
        self._next = PAST + 1

    # Nodes

    def node(self, number: int) -> Virtual | State:
        """Return what a node stands for (raises ESTALE)."""
        node = self._nodes.get(number)
        if node is None:
            refuse(errno.ESTALE)
        return node.what

    def _entry(self, what: Virtual | State) -> Entry:
        """Answer with a node, and count that."""
        key: object = what if isinstance(what, Virtual) else what.key
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._next
            self._next += 1
            self._nodes[number] = _Node(what)
        self._nodes[number].count += 1
        return Entry(number, 0, self._attributes(what), 0, _valid(what))

    def forget(self, number: int, count: int) -> None:
        """Drop a node with the last that the kernel knows of it."""
        node = self._nodes.get(number)
        if node is None or number == SNAPSHOTS:
            return
        node.count -= count
        if node.count <= 0:
            what = node.what
            del self._nodes[number]
            del self._numbers[what if isinstance(what, Virtual) else what.key]

    def _attributes(self, what: Virtual | State) -> Attributes:
        if isinstance(what, State):
            # Not the number in live/: a program that sees both must not take them for one file.
            shown = attributes_of(what.inode)
            return shown._replace(ino=number_in(what.day, shown.ino))
        ino = PAST + sum(part << 8 * n for n, part in enumerate(what.path))
        owner = self._live.inode(LIVE_ROOT)
        born = self._born
        mode = stat.S_IFDIR | 0o555
        links = 1  # what a directory has that does not count those in it; with 2, it had none
        return Attributes(ino, 4096, 0, born, born, born, mode, links, owner.uid, owner.gid)

    def getattr(self, request: Request) -> AttributesReply:
        """Answer stat(2)."""
        if request.nodeid == MOUNT_ROOT:
            root = self._attributes(Virtual((1,)))
            return AttributesReply(root._replace(ino=MOUNT_ROOT, nlink=4), _A_MOMENT)
        what = self.node(request.nodeid)
        return AttributesReply(self._attributes(what), _valid(what))

    def place_of(self, number: int) -> tuple[int, int]:
        """Return the day (or LATEST) and the inode number that a node stands for, 0 for none."""
        node = self._nodes.get(number)
        if node is None or isinstance(node.what, Virtual):
            return LATEST, 0
        return node.what.day, node.what.inode.ino

    def state(self, number: int) -> Inode:
        """Return the state that a node stands for; EISDIR for directories without one."""
        what = self.node(number)
        if isinstance(what, Virtual):
            refuse(errno.EISDIR)
        return what.inode

    # Names

    def lookup(self, request: Request, name: bytes) -> Entry | Deferred:
        """Find a name."""
        if len(name) > NAME_MAX:
            refuse(errno.ENAMETOOLONG)
        if request.nodeid == MOUNT_ROOT:
            if name == b"live":
                return self._live.entry(self._live.inode(LIVE_ROOT))
            if name == b"snapshots":
                return self._entry(Virtual(()))._replace(entry_valid=FOREVER)
            return negative_entry(0)
        what = self.node(request.nodeid)
        if isinstance(what, Virtual):
            return self._up_to_date(lambda: self._day(what.path, name), self._answer)
        day = what.day
        if day == LATEST:
            dentry = self._store.dentry(what.inode.ino, name)
            return self._answer(State(day, self._live.inode(dentry.ino).copy()) if dentry else None)
        parent = what.inode.ino

        def find() -> State | None:
            inode = self._store.snapshots.lookup(parent, name, day)
            return State(day, inode) if inode else None

        return self._up_to_date(find, self._answer)

    def _answer(self, what: Virtual | State | None) -> Entry:
        return negative_entry(0) if what is None else self._entry(what)

    def _up_to_date(self, ask: Callable[[], T], answer: Callable[[T], Entry]) -> Entry | Deferred:
        """Ask the index once it has every change that was acknowledged."""
        if not self._store.syncer.behind():
            return answer(ask())

        def later() -> Entry:
            self._store.syncer.catch_up()
            found = ask()
            with self._store.guard:
                return answer(found)

        return Deferred(later)

    def _day(self, path: tuple[int, ...], name: bytes) -> Virtual | State | None:
        """Return what ``name`` is below ``snapshots/`` + ``path`` (year, month)."""
        if not path and name == b"latest":
            return State(LATEST, self._live.inode(LIVE_ROOT).copy())
        if len(name) != (2 if path else 4) or not name.isdigit():
            return None
        path = (*path, int(name))
        try:
            first = date(*(*path, 1, 1)[:3])
        except ValueError:
            return None
        following = (path[0] + (len(path) == 1), path[1] if len(path) > 1 else 1)
        if len(path) == 2:
            following = (path[0] + path[1] // 12, path[1] % 12 + 1)
        begin = first.toordinal()
        end = begin + 1 if len(path) == 3 else _ordinal(*following)
        known, today = self._store.snapshots.first_day(), self.today()
        if known is None or end <= known or begin > today:
            return None
        if len(path) < 3:
            return Virtual(path)
        root = self._store.snapshots.inode(LIVE_ROOT, begin)
        return State(begin, root) if root else None

    def today(self) -> int:
        """Return the day that is going on."""
        return self._store.snapshot_calendar.day_of(self._store.clock())

    def readlink(self, request: Request) -> bytes:
        """Return the target of a symbolic link."""
        target = self.state(request.nodeid).target
        if target is None:
            refuse(errno.EINVAL)
        return target

    # Content

    def read(self, request: Request, offset: int, size: int) -> bytes | Deferred:
        """Read content as it was."""
        what = self.node(request.nodeid)
        if isinstance(what, Virtual):
            refuse(errno.EISDIR)
        day, state = what
        if day == LATEST:
            current = self._store.inode(state.ino)
            if current is not None and current.nlink:
                return self._reading.live(request, current, offset, size)
        return self._reading.past(request, state, offset, size)

    def lseek(self, request: Request, offset: int, whence: int) -> int:
        """Take files of the past as all data, as lseek(2) allows."""
        size = self.state(request.nodeid).size
        if offset >= size:
            refuse(errno.ENXIO)
        return offset if whence == os.SEEK_DATA else size

    # Extended attributes

    def getxattr(self, request: Request, name: bytes) -> bytes:
        """Return a value as it was."""
        xattrs = self._xattrs(request.nodeid)
        if name not in xattrs:
            refuse(errno.ENODATA)
        return xattrs[name]

    def listxattr(self, request: Request) -> list[bytes]:
        """Return the names as they were; those in ``trusted.`` are for root."""
        xattrs = self._xattrs(request.nodeid)
        return [n for n in xattrs if request.uid == 0 or not n.startswith(b"trusted.")]

    def _xattrs(self, number: int) -> dict[bytes, bytes]:
        if number == MOUNT_ROOT:
            return {}
        what = self.node(number)
        return {} if isinstance(what, Virtual) else what.inode.xattrs or {}


def _valid(what: Virtual | State) -> int:
    """Return for how long attributes may be cached: those of a state never change."""
    return FOREVER if isinstance(what, State) else _A_MOMENT


def _ordinal(year: int, month: int) -> int:
    return date(year, month, 1).toordinal() if year <= date.max.year else date.max.toordinal()
