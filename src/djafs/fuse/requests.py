"""From the bytes of a request to the arguments of an operation; pure, one function per layout.

Each takes the whole message, header included, and its length (the buffer may be longer, and hold
the rest of an earlier message), and returns the arguments that follow ``request`` in the method of
:class:`~djafs.fuse.handler.Handler`. The caller has checked that the fixed part of the layout is
there (:mod:`djafs.fuse.operations` knows its size); a variable part that is cut off, or a name
without its NUL, raises one of :data:`MALFORMED`.
"""

from __future__ import annotations

from struct import error as StructError  # noqa: N812

from djafs.fuse import wire
from djafs.fuse.flags import FATTR_FH, FUSE_FSYNC_FDATASYNC, FUSE_GETATTR_FH
from djafs.fuse.values import SECOND, SetAttributes

Message = bytes | bytearray

#: What decoding a malformed message raises.
MALFORMED = (StructError, ValueError)

_BODY = wire.REQUEST_HEADER.size
#: COPY_FILE_RANGE answers in 32 bits, of which the kernel leaves the last page unused.
_LARGEST_COPY = 0xFFFFF000

# Looked up once: each of these is on the path of a request.
_getattr = wire.GETATTR_IN.unpack_from
_read = wire.READ_IN.unpack_from
_write = wire.WRITE_IN.unpack_from
_create = wire.CREATE_IN.unpack_from
_setattr = wire.SETATTR_IN.unpack_from


def _names(message: Message, start: int, length: int) -> tuple[bytes, bytes]:
    """Return two names, each ended by NUL, from ``start`` on."""
    middle = message.index(0, start, length)
    end = message.index(0, middle + 1, length)
    return bytes(message[start:middle]), bytes(message[middle + 1 : end])


def _lone_number(message: Message, length: int) -> int:
    """Return the 64-bit number that is all of a request of the server's own."""
    if length < _BODY + 8:
        raise ValueError(f"{length} bytes are too few")
    number: int = wire.FORGET_IN.unpack_from(message, _BODY)[0]
    return number


def no_arguments(message: Message, length: int) -> tuple[()]:
    """READLINK, STATFS, SYNCFS: nothing of what follows the header matters."""
    return ()


def name(message: Message, length: int) -> tuple[bytes]:
    """LOOKUP, UNLINK, RMDIR, REMOVEXATTR: a name."""
    return (bytes(message[_BODY : message.index(0, _BODY, length)]),)


def forget(message: Message, length: int) -> int:
    """FORGET: how many lookups are given back."""
    return _lone_number(message, length)


def batch_forget(message: Message, length: int) -> list[tuple[int, int]]:
    """BATCH_FORGET: pairs of node and number of lookups given back."""
    body = memoryview(message)[_BODY:length]
    count = wire.BATCH_FORGET_IN.unpack_from(body)[0]
    start = wire.BATCH_FORGET_IN.size
    end = start + count * wire.FORGET_ONE.size
    if end > len(body):
        raise ValueError(f"BATCH_FORGET of {count} nodes in {len(body)} bytes")
    return list(wire.FORGET_ONE.iter_unpack(body[start:end]))


def get_attributes(message: Message, length: int) -> tuple[int | None]:
    """GETATTR: the handle of the open file that is asked about, if one is."""
    flags, _, handle = _getattr(message, _BODY)
    return (handle if flags & FUSE_GETATTR_FH else None,)


def set_attributes(message: Message, length: int) -> tuple[SetAttributes]:
    """SETATTR: the changes."""
    (
        valid, _, handle, size, _, atime, mtime, ctime, atime_ns, mtime_ns, ctime_ns, mode, _, uid,
        gid, _,
    ) = _setattr(message, _BODY)  # fmt: skip
    return (
        SetAttributes(
            valid,
            handle if valid & FATTR_FH else None,
            size,
            atime * SECOND + atime_ns,
            mtime * SECOND + mtime_ns,
            ctime * SECOND + ctime_ns,
            mode,
            uid,
            gid,
        ),
    )


def symlink(message: Message, length: int) -> tuple[bytes, bytes]:
    """SYMLINK: the new name, and what it is to point at."""
    return _names(message, _BODY, length)


def mknod(message: Message, length: int) -> tuple[bytes, int, int, int]:
    """MKNOD: name, mode, rdev, umask."""
    mode, rdev, umask, _ = wire.MKNOD_IN.unpack_from(message, _BODY)
    start = _BODY + wire.MKNOD_IN.size
    return bytes(message[start : message.index(0, start, length)]), mode, rdev, umask


def mkdir(message: Message, length: int) -> tuple[bytes, int, int]:
    """MKDIR: name, mode, umask."""
    mode, umask = wire.MKDIR_IN.unpack_from(message, _BODY)
    start = _BODY + wire.MKDIR_IN.size
    return bytes(message[start : message.index(0, start, length)]), mode, umask


def rename(message: Message, length: int) -> tuple[bytes, int, bytes, int]:
    """RENAME: name, new directory, new name, and no flags."""
    (new_parent,) = wire.RENAME_IN.unpack_from(message, _BODY)
    old, new = _names(message, _BODY + wire.RENAME_IN.size, length)
    return old, new_parent, new, 0


def rename2(message: Message, length: int) -> tuple[bytes, int, bytes, int]:
    """RENAME2: name, new directory, new name, RENAME_* flags."""
    new_parent, flags, _ = wire.RENAME2_IN.unpack_from(message, _BODY)
    old, new = _names(message, _BODY + wire.RENAME2_IN.size, length)
    return old, new_parent, new, flags


def link(message: Message, length: int) -> tuple[int, bytes]:
    """LINK: the node that gets another name, and the name."""
    (nodeid,) = wire.LINK_IN.unpack_from(message, _BODY)
    start = _BODY + wire.LINK_IN.size
    return nodeid, bytes(message[start : message.index(0, start, length)])


def open_file(message: Message, length: int) -> tuple[int, int]:
    """OPEN: flags of open(2), FUSE_OPEN_* flags."""
    flags, open_flags = wire.OPEN_IN.unpack_from(message, _BODY)
    return flags, open_flags


def opendir(message: Message, length: int) -> tuple[int]:
    """OPENDIR: flags of open(2)."""
    return (wire.OPEN_IN.unpack_from(message, _BODY)[0],)


def create(message: Message, length: int) -> tuple[bytes, int, int, int, int]:
    """CREATE, TMPFILE: name, flags, mode, umask, FUSE_OPEN_* flags."""
    flags, mode, umask, open_flags = _create(message, _BODY)
    start = _BODY + 16
    return bytes(message[start : message.index(0, start, length)]), flags, mode, umask, open_flags


def read(message: Message, length: int) -> tuple[int, int, int, int]:
    """READ: handle, offset, size, flags of open(2)."""
    handle, offset, size, _, _, flags, _ = _read(message, _BODY)
    return handle, offset, size, flags


def readdir(message: Message, length: int) -> tuple[int, int, int]:
    """READDIR, READDIRPLUS: handle, offset (the cookie to continue after), size."""
    handle, offset, size, *_ = _read(message, _BODY)
    return handle, offset, size


def write(message: Message, length: int) -> tuple[int, int, memoryview, int, int]:
    """WRITE: handle, offset, a view of the data, FUSE_WRITE_* flags, flags of open(2)."""
    handle, offset, size, write_flags, _, flags, _ = _write(message, _BODY)
    end = _BODY + 40 + size
    if end > length:
        raise ValueError(f"WRITE of {size} bytes in a message of {length}")
    return handle, offset, memoryview(message)[_BODY + 40 : end], write_flags, flags


def release(message: Message, length: int) -> tuple[int, int, int]:
    """RELEASE: handle, flags of open(2), FUSE_RELEASE_* flags."""
    handle, flags, release_flags, _ = wire.RELEASE_IN.unpack_from(message, _BODY)
    return handle, flags, release_flags


def releasedir(message: Message, length: int) -> tuple[int]:
    """RELEASEDIR: handle."""
    return (wire.RELEASE_IN.unpack_from(message, _BODY)[0],)


def flush(message: Message, length: int) -> tuple[int]:
    """FLUSH: handle."""
    return (wire.FLUSH_IN.unpack_from(message, _BODY)[0],)


def fsync(message: Message, length: int) -> tuple[int, bool]:
    """FSYNC, FSYNCDIR: handle, whether the data alone is enough."""
    handle, flags, _ = wire.FSYNC_IN.unpack_from(message, _BODY)
    return handle, bool(flags & FUSE_FSYNC_FDATASYNC)


def setxattr(message: Message, length: int) -> tuple[bytes, bytes, int, int]:
    """SETXATTR without FUSE_SETXATTR_EXT: name, value, XATTR_* flags, 0."""
    size, flags = wire.SETXATTR_IN.unpack_from(message, _BODY)
    return *_name_and_value(message, _BODY + wire.SETXATTR_IN.size, size, length), flags, 0


def setxattr_ext(message: Message, length: int) -> tuple[bytes, bytes, int, int]:
    """SETXATTR with FUSE_SETXATTR_EXT: name, value, XATTR_* flags, FUSE_SETXATTR_* flags."""
    size, flags, more, _ = wire.SETXATTR_EXT_IN.unpack_from(message, _BODY)
    return *_name_and_value(message, _BODY + wire.SETXATTR_EXT_IN.size, size, length), flags, more


def _name_and_value(message: Message, start: int, size: int, length: int) -> tuple[bytes, bytes]:
    """Return the name from ``start`` to its NUL and the ``size`` bytes after it."""
    middle = message.index(0, start, length)
    end = middle + 1 + size
    if end > length:
        raise ValueError(f"SETXATTR of {size} bytes in a message of {length}")
    return bytes(message[start:middle]), bytes(message[middle + 1 : end])


def getxattr(message: Message, length: int) -> tuple[bytes, int]:
    """GETXATTR: name, room for the value (0: only its size is asked for)."""
    size, _ = wire.GETXATTR_IN.unpack_from(message, _BODY)
    start = _BODY + 8
    return bytes(message[start : message.index(0, start, length)]), size


def listxattr(message: Message, length: int) -> tuple[int]:
    """LISTXATTR: room for the names (0: only their size is asked for)."""
    return (wire.GETXATTR_IN.unpack_from(message, _BODY)[0],)


def access(message: Message, length: int) -> tuple[int]:
    """ACCESS: a mask of R_OK, W_OK and X_OK, or F_OK."""
    return (wire.ACCESS_IN.unpack_from(message, _BODY)[0],)


def interrupt(message: Message, length: int) -> int:
    """INTERRUPT: the unique number of the request whose caller got a signal."""
    return _lone_number(message, length)


def ioctl(message: Message, length: int) -> tuple[int, int, int, int, bytes, int]:
    """IOCTL: handle, FUSE_IOCTL_* flags, command, argument, input, room for output."""
    handle, flags, command, argument, in_size, out_size = wire.IOCTL_IN.unpack_from(message, _BODY)
    start = _BODY + wire.IOCTL_IN.size
    if start + in_size > length:
        raise ValueError(f"IOCTL with {in_size} bytes of input in a message of {length}")
    return handle, flags, command, argument, bytes(message[start : start + in_size]), out_size


def fallocate(message: Message, length: int) -> tuple[int, int, int, int]:
    """FALLOCATE: handle, offset, length, FALLOC_FL_* mode."""
    handle, offset, size, mode, _ = wire.FALLOCATE_IN.unpack_from(message, _BODY)
    return handle, offset, size, mode


def lseek(message: Message, length: int) -> tuple[int, int, int]:
    """LSEEK: handle, offset, whence (SEEK_DATA or SEEK_HOLE)."""
    handle, offset, whence, _ = wire.LSEEK_IN.unpack_from(message, _BODY)
    return handle, offset, whence


def copy_file_range_64(message: Message, length: int) -> tuple[int, int, int, int, int, int, int]:
    """COPY_FILE_RANGE_64: handle and offset in, node, handle and offset out, length, flags."""
    copy: tuple[int, int, int, int, int, int, int] = wire.COPY_FILE_RANGE_IN.unpack_from(
        message, _BODY
    )
    return copy


def copy_file_range(message: Message, length: int) -> tuple[int, int, int, int, int, int, int]:
    """COPY_FILE_RANGE: as the 64-bit form, its length cut to what the reply can say."""
    *places, size, flags = wire.COPY_FILE_RANGE_IN.unpack_from(message, _BODY)
    handle_in, offset_in, nodeid_out, handle_out, offset_out = places
    return (
        handle_in, offset_in, nodeid_out, handle_out, offset_out, min(size, _LARGEST_COPY), flags,
    )  # fmt: skip
