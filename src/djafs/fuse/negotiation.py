"""INIT: what the filesystem wants, what the kernel offers, and what comes of it; pure."""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from djafs.fuse import wire
from djafs.fuse.errors import FuseError
from djafs.fuse.flags import InitFlag
from djafs.fuse.requests import Message
from djafs.fuse.values import InitInfo

_BODY = wire.REQUEST_HEADER.size
_LARGEST_XATTR = 1 << 16

#: What costs nothing and changes nothing that a handler has to know about.
#: READDIRPLUS is used where the kernel expects that the attributes will be wanted.
DEFAULT_FLAGS = (
    InitFlag.ASYNC_READ
    | InitFlag.BIG_WRITES
    | InitFlag.HAS_IOCTL_DIR
    | InitFlag.DO_READDIRPLUS
    | InitFlag.READDIRPLUS_AUTO
    | InitFlag.ASYNC_DIO
    | InitFlag.NO_OPEN_SUPPORT
    | InitFlag.NO_OPENDIR_SUPPORT
    | InitFlag.PARALLEL_DIROPS
    | InitFlag.ABORT_ERROR
    | InitFlag.MAX_PAGES
    | InitFlag.CACHE_SYMLINKS
    | InitFlag.SETXATTR_EXT
    | InitFlag.INIT_EXT
    | InitFlag.HAS_EXPIRE_ONLY
    | InitFlag.DIRECT_IO_ALLOW_MMAP
)

#: Refused, because this layer does not answer what they bring: locks stay in the kernel,
#: truncation is a SETATTR, pages are dropped by notification only, a write is acknowledged by the
#: handler, requests come through read(2) and end with their names.
REFUSED_FLAGS = (
    InitFlag.POSIX_LOCKS
    | InitFlag.FLOCK_LOCKS
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.AUTO_INVAL_DATA
    | InitFlag.WRITEBACK_CACHE
    | InitFlag.MAP_ALIGNMENT
    | InitFlag.SECURITY_CTX
    | InitFlag.HAS_INODE_DAX
    # Permission is the kernel's to check (default_permissions), and from Linux 6.0 on it also
    # decides whether a new file keeps its set-gid bit: the group would change no answer.
    | InitFlag.CREATE_SUPP_GROUP
    | InitFlag.PASSTHROUGH
    | InitFlag.HAS_RESEND
    | InitFlag.OVER_IO_URING
    | InitFlag.REQUEST_TIMEOUT
)


@dataclass(frozen=True)
class Config:
    """How a connection is set up; what the kernel does not know is left out."""

    flags: InitFlag = DEFAULT_FLAGS
    max_write: int = 1 << 20  # bytes of one WRITE or READ; Linux allows 1 MiB as it comes
    max_readahead: int = 1 << 20  # bytes; the kernel takes less if its own limit is lower
    max_background: int = 64  # requests under way that nobody waits for: readahead, writeback
    congestion_threshold: int = 48  # of those, from when on the kernel holds back
    time_granularity: int = 1  # nanoseconds: a power of ten, how finely times are kept
    deferred_threads: int = 4  # that answer deferred requests

    def __post_init__(self) -> None:
        refused = InitFlag(self.flags & REFUSED_FLAGS)
        if refused:
            raise ValueError(f"this layer cannot serve {refused!r}")
        if self.max_write < mmap.PAGESIZE or self.max_write % mmap.PAGESIZE:
            raise ValueError(f"max_write is {self.max_write}, not a multiple of {mmap.PAGESIZE}")
        if self.deferred_threads < 1:
            raise ValueError("deferred_threads must be at least 1")


def buffer_size(config: Config) -> int:
    """Return how many bytes to read at once: data of a WRITE or SETXATTR, and a page before it."""
    return max(config.max_write, _LARGEST_XATTR) + mmap.PAGESIZE


def answer_init(config: Config, message: Message, length: int) -> tuple[InitInfo | None, bytes]:
    """Return what is agreed on, and the reply to INIT.

    The kernel's major version decides: with a newer one, the answer names ours and nothing is
    agreed on (None) until it asks again. With an older one, or a minor version below 7.31, raises
    FuseError: nothing can be served.
    """
    if length < _BODY + wire.INIT_IN.size:
        raise FuseError(f"the kernel sent an INIT of {length} bytes")
    major, minor, max_readahead, offered = wire.INIT_IN.unpack_from(message, _BODY)
    unique = wire.REQUEST_HEADER.unpack_from(message)[2]
    if major > wire.MAJOR:
        return None, _reply(unique, InitInfo(0, 0, 0, 0, 0, 0), config)
    if major < wire.MAJOR or minor < wire.OLDEST_MINOR:
        raise FuseError(
            f"the kernel speaks FUSE {major}.{minor}; 7.{wire.OLDEST_MINOR} (Linux 5.4)"
            " or later is needed"
        )
    flags2_at = _BODY + wire.INIT_IN.size
    if offered & InitFlag.INIT_EXT and length >= flags2_at + wire.INIT_IN_FLAGS2.size:
        offered |= wire.INIT_IN_FLAGS2.unpack_from(message, flags2_at)[0] << 32
    flags = int(config.flags) & offered
    if not flags & InitFlag.INIT_EXT:
        flags &= 0xFFFFFFFF
    max_pages = config.max_write // mmap.PAGESIZE
    if not flags & InitFlag.MAX_PAGES:
        max_pages = min(max_pages, 32)  # what the kernel takes when it is not told
    info = InitInfo(
        minor=min(minor, wire.NEWEST_MINOR),
        offered=offered,
        flags=flags,
        max_write=min(config.max_write, max_pages * mmap.PAGESIZE),
        max_readahead=min(config.max_readahead, max_readahead),
        max_pages=max_pages,
    )
    return info, _reply(unique, info, config)


def _reply(unique: int, info: InitInfo, config: Config) -> bytes:
    """Return the reply to INIT."""
    return wire.INIT_REPLY.pack(
        wire.INIT_REPLY.size,
        0,
        unique,
        wire.MAJOR,
        info.minor or wire.NEWEST_MINOR,
        info.max_readahead,
        info.flags & 0xFFFFFFFF,
        config.max_background,
        config.congestion_threshold,
        info.max_write,
        config.time_granularity,
        info.max_pages if info.flags & InitFlag.MAX_PAGES else 0,
        0,
        info.flags >> 32,
        0,
        0,
    )
