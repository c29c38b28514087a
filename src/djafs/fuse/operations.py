"""Which opcode calls which method, with which layouts: the dispatch table as data."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, NamedTuple

from djafs.fuse import replies, requests, wire
from djafs.fuse.flags import InitFlag
from djafs.fuse.wire import Opcode

Decode = Callable[[bytes | bytearray, int], tuple[Any, ...]]
Encode = Callable[[int, Any, tuple[Any, ...]], replies.Reply]


class Operation(NamedTuple):
    """How one opcode is answered."""

    method: str  # of Handler
    smallest: int  # bytes of the fixed part of the request, header included
    decode: Decode
    encode: Encode


def _operation(
    method: str, decode: Decode, encode: Encode, layout: Struct | None = None
) -> Operation:
    size = wire.REQUEST_HEADER.size + (layout.size if layout is not None else 0)
    return Operation(method, size, decode, encode)


#: Every opcode that has an answer of its own; INIT, DESTROY, INTERRUPT and the FORGETs are the
#: server's. What is missing here is answered with ENOSYS, which the kernel remembers.
OPERATIONS: dict[Opcode, Operation] = {
    Opcode.LOOKUP: _operation("lookup", requests.name, replies.entry),
    Opcode.GETATTR: _operation(
        "getattr", requests.get_attributes, replies.attributes, wire.GETATTR_IN
    ),
    Opcode.SETATTR: _operation(
        "setattr", requests.set_attributes, replies.attributes, wire.SETATTR_IN
    ),
    Opcode.READLINK: _operation("readlink", requests.no_arguments, replies.text),
    Opcode.SYMLINK: _operation("symlink", requests.symlink, replies.entry),
    Opcode.MKNOD: _operation("mknod", requests.mknod, replies.entry, wire.MKNOD_IN),
    Opcode.MKDIR: _operation("mkdir", requests.mkdir, replies.entry, wire.MKDIR_IN),
    Opcode.UNLINK: _operation("unlink", requests.name, replies.nothing),
    Opcode.RMDIR: _operation("rmdir", requests.name, replies.nothing),
    Opcode.RENAME: _operation("rename", requests.rename, replies.nothing, wire.RENAME_IN),
    Opcode.RENAME2: _operation("rename", requests.rename2, replies.nothing, wire.RENAME2_IN),
    Opcode.LINK: _operation("link", requests.link, replies.entry, wire.LINK_IN),
    Opcode.OPEN: _operation("open", requests.open_file, replies.opened, wire.OPEN_IN),
    Opcode.READ: _operation("read", requests.read, replies.contents, wire.READ_IN),
    Opcode.WRITE: _operation("write", requests.write, replies.written, wire.WRITE_IN),
    Opcode.STATFS: _operation("statfs", requests.no_arguments, replies.statfs),
    Opcode.RELEASE: _operation("release", requests.release, replies.nothing, wire.RELEASE_IN),
    Opcode.FSYNC: _operation("fsync", requests.fsync, replies.nothing, wire.FSYNC_IN),
    Opcode.SETXATTR: _operation("setxattr", requests.setxattr, replies.nothing, wire.SETXATTR_IN),
    Opcode.GETXATTR: _operation("getxattr", requests.getxattr, replies.xattr, wire.GETXATTR_IN),
    Opcode.LISTXATTR: _operation(
        "listxattr", requests.listxattr, replies.xattr_names, wire.GETXATTR_IN
    ),
    Opcode.REMOVEXATTR: _operation("removexattr", requests.name, replies.nothing),
    Opcode.FLUSH: _operation("flush", requests.flush, replies.nothing, wire.FLUSH_IN),
    Opcode.OPENDIR: _operation("opendir", requests.opendir, replies.opened, wire.OPEN_IN),
    Opcode.READDIR: _operation("readdir", requests.readdir, replies.listing, wire.READ_IN),
    Opcode.READDIRPLUS: _operation(
        "readdirplus", requests.readdir, replies.listing_plus, wire.READ_IN
    ),
    Opcode.RELEASEDIR: _operation(
        "releasedir", requests.releasedir, replies.nothing, wire.RELEASE_IN
    ),
    Opcode.FSYNCDIR: _operation("fsyncdir", requests.fsync, replies.nothing, wire.FSYNC_IN),
    Opcode.ACCESS: _operation("access", requests.access, replies.nothing, wire.ACCESS_IN),
    Opcode.CREATE: _operation("create", requests.create, replies.created, wire.CREATE_IN),
    Opcode.TMPFILE: _operation("tmpfile", requests.create, replies.created, wire.CREATE_IN),
    Opcode.IOCTL: _operation("ioctl", requests.ioctl, replies.ioctl, wire.IOCTL_IN),
    Opcode.FALLOCATE: _operation(
        "fallocate", requests.fallocate, replies.nothing, wire.FALLOCATE_IN
    ),
    Opcode.LSEEK: _operation("lseek", requests.lseek, replies.large_number, wire.LSEEK_IN),
    Opcode.COPY_FILE_RANGE: _operation(
        "copy_file_range", requests.copy_file_range, replies.written, wire.COPY_FILE_RANGE_IN
    ),
    Opcode.COPY_FILE_RANGE_64: _operation(
        "copy_file_range",
        requests.copy_file_range_64,
        replies.large_number,
        wire.COPY_FILE_RANGE_IN,
    ),
    Opcode.SYNCFS: _operation("syncfs", requests.no_arguments, replies.nothing),
}


def operations_for(flags: int) -> dict[int, Operation]:
    """Return the table for a connection on which the InitFlag bits ``flags`` are in force."""
    table: dict[int, Operation] = {int(opcode): each for opcode, each in OPERATIONS.items()}
    if flags & InitFlag.SETXATTR_EXT:
        table[Opcode.SETXATTR] = _operation(
            "setxattr", requests.setxattr_ext, replies.nothing, wire.SETXATTR_EXT_IN
        )
    return table
