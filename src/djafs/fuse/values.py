"""What requests carry and what operations answer: values without behaviour.

Times are integer nanoseconds since the epoch and may be negative. ``*_valid`` are durations in
nanoseconds: how long the kernel may answer from its caches without asking again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

SECOND = 1_000_000_000
#: A validity for what never changes without a notification: some 136 years.
FOREVER = (1 << 32) * SECOND


class Attributes(NamedTuple):
    """What stat(2) shows of an inode."""

    ino: int
    size: int  # bytes
    blocks: int  # allocated, in units of 512 bytes
    atime: int
    mtime: int
    ctime: int
    mode: int  # type and permissions, as in st_mode
    nlink: int
    uid: int
    gid: int
    rdev: int = 0  # of device nodes, in the kernel's 32-bit encoding (new_encode_dev)
    blksize: int = 4096  # preferred size of input and output


class AttributesReply(NamedTuple):
    """Attributes and how long they may be cached; answers GETATTR and SETATTR."""

    attributes: Attributes
    valid: int


class Entry(NamedTuple):
    """A name that leads to a node; answers LOOKUP and whatever creates a name.

    Each entry answered counts as one *lookup* of its node, which FORGET gives back.
    With ``nodeid`` 0 and ``attributes`` None it says that the name does *not* exist, which the
    kernel remembers for ``entry_valid`` (an ENOENT is not remembered); nothing is counted then.
    """

    nodeid: int
    generation: int  # tells apart two inodes that had the same node number one after the other
    attributes: Attributes | None
    entry_valid: int
    attr_valid: int


def negative_entry(valid: int) -> Entry:
    """Return the entry that says for ``valid`` nanoseconds that a name does not exist."""
    return Entry(0, 0, None, valid, 0)


class Opened(NamedTuple):
    """Answers OPEN and OPENDIR; ``flags`` are FOPEN_*."""

    handle: int = 0
    flags: int = 0


class Created(NamedTuple):
    """Answers CREATE and TMPFILE: a new name and an open file in one."""

    entry: Entry
    opened: Opened


class Statfs(NamedTuple):
    """Room in the filesystem, as in statvfs(3); blocks are in units of ``frsize`` bytes."""

    blocks: int
    bfree: int
    bavail: int  # free for users other than root
    files: int
    ffree: int
    bsize: int = 4096
    namelen: int = 255
    frsize: int = 4096


class DirectoryEntry(NamedTuple):
    """One line of a listing.

    ``cookie`` is the offset with which a later READDIR continues *after* this entry: never 0,
    below 2**63, and telling the place for as long as the directory is open, whatever is created
    or removed meanwhile. ``entry`` is looked at by READDIRPLUS only: None, or one with nodeid 0,
    gives the name without attributes, and counts no lookup; ``.`` and ``..`` never count.
    """

    name: bytes
    ino: int
    cookie: int
    type: int  # st_mode of the entry; only the type bits (S_IFMT) are sent
    entry: Entry | None = None


class SetAttributes(NamedTuple):
    """Changes asked for by SETATTR: only the fields whose FATTR_* bit is in ``valid`` count."""

    valid: int
    handle: int | None  # of the open file that ftruncate and the like came through
    size: int
    atime: int  # with FATTR_ATIME_NOW: use the filesystem's own clock instead
    mtime: int
    ctime: int
    mode: int
    uid: int
    gid: int


class IoctlReply(NamedTuple):
    """What ioctl(2) returns, and the bytes written to its argument (at most ``out_size``)."""

    result: int = 0
    output: bytes = b""


class InitInfo(NamedTuple):
    """What kernel and filesystem have agreed on."""

    minor: int  # of the ABI: 7.minor
    offered: int  # all InitFlag bits that the kernel knows
    flags: int  # the InitFlag bits in force
    max_write: int  # bytes
    max_readahead: int  # bytes
    max_pages: int  # of one request


class Deferred:
    """Returned by an operation that may block: the answer comes from a thread of the pool.

    ``function`` takes nothing and returns what the operation would have returned, or raises. It
    runs without the server's guard, and so does the encoding of its result: a listing that is
    made lazily must not look at shared state there.

    With ``delay`` the answer is given so many seconds later, by a thread that only waits; then
    ``function`` must not block.

    With ``shared`` the functions run one after the other, on one thread for all of them: of those
    that wait the latest first. It is to do what the earlier ones wait for too, as a sync of
    everything does; they then have nothing left to do.
    """

    __slots__ = ("delay", "function", "shared")

    def __init__(
        self, function: Callable[[], Any], delay: float = 0.0, *, shared: bool = False
    ) -> None:
        self.function = function
        self.delay = delay
        self.shared = shared


class Request:
    """Who asks: the header of a request.

    The server reuses the object: it is the operation's until the method returns, or, if that
    returns a :class:`Deferred`, until its function has.
    """

    __slots__ = ("gid", "interrupted", "nodeid", "opcode", "pid", "uid", "unique")

    opcode: int
    unique: int  # the kernel's number for this request; 0 never occurs
    nodeid: int  # the node asked about: the directory, for operations on a name
    uid: int  # of the calling thread (fsuid), in the daemon's user namespace
    gid: int
    pid: int  # of the calling thread; 0 if it has none in the daemon's namespace, or for writeback
    interrupted: bool  # the caller has got a signal; only a deferred request can ever see it set

    def __init__(self) -> None:
        self.opcode = self.unique = self.nodeid = self.uid = self.gid = self.pid = 0
        self.interrupted = False

    def __repr__(self) -> str:
        return (
            f"<Request {self.unique} opcode={self.opcode} nodeid={self.nodeid}"
            f" uid={self.uid} gid={self.gid} pid={self.pid}>"
        )
