"""The messages of /dev/fuse as data: opcodes and layouts, nothing that runs.

Source: ``include/uapi/linux/fuse.h``, ABI 7.31 (Linux 5.4) to 7.45 (Linux 6.18); the order of the
fields is that of the C structs, whose names stand beside each layout. Everything is in the
machine's byte order, and the padding of the structs is written out, hence ``=``.
All times are seconds (signed) and nanoseconds in two fields.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

MAJOR = 7
OLDEST_MINOR = 31
NEWEST_MINOR = 45
ROOT_NODE = 1


class Opcode(IntEnum):
    """What a request asks for (``enum fuse_opcode``)."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


class Notification(IntEnum):
    """What a message with ``unique`` 0 tells the kernel (``enum fuse_notify_code``)."""

    POLL = 1
    INVAL_INODE = 2
    INVAL_ENTRY = 3
    STORE = 4
    RETRIEVE = 5
    DELETE = 6
    RESEND = 7
    INC_EPOCH = 8
    PRUNE = 9


# --- requests: fuse_in_header, then the layout of the opcode, then names or data ----------------
#: len, opcode, unique, nodeid, uid, gid, pid, total_extlen, padding
REQUEST_HEADER = Struct("=IIQQIIIHH")
#: major, minor, max_readahead, flags, and from 7.36 on flags2 (11 unused words follow)
INIT_IN = Struct("=IIII")
INIT_IN_FLAGS2 = Struct("=I")
FORGET_IN = Struct("=Q")  # nlookup
BATCH_FORGET_IN = Struct("=II")  # count, dummy; then fuse_forget_one
FORGET_ONE = Struct("=QQ")  # nodeid, nlookup
GETATTR_IN = Struct("=IIQ")  # getattr_flags, dummy, fh
#: valid, padding, fh, size, lock_owner, atime, mtime, ctime, their nanoseconds, mode, unused, uid,
#: gid, unused
SETATTR_IN = Struct("=IIQQQqqqIIIIIIII")
MKNOD_IN = Struct("=IIII")  # mode, rdev, umask, padding; then the name
MKDIR_IN = Struct("=II")  # mode, umask; then the name
RENAME_IN = Struct("=Q")  # newdir; then both names
RENAME2_IN = Struct("=QII")  # newdir, flags, padding; then both names
LINK_IN = Struct("=Q")  # oldnodeid; then the new name
OPEN_IN = Struct("=II")  # flags, open_flags
CREATE_IN = Struct("=IIII")  # flags, mode, umask, open_flags; then the name
RELEASE_IN = Struct("=QIIQ")  # fh, flags, release_flags, lock_owner
FLUSH_IN = Struct("=QIIQ")  # fh, unused, padding, lock_owner
READ_IN = Struct("=QQIIQII")  # fh, offset, size, read_flags, lock_owner, flags, padding
WRITE_IN = Struct("=QQIIQII")  # fh, offset, size, write_flags, lock_owner, flags, padding; data
FSYNC_IN = Struct("=QII")  # fh, fsync_flags, padding
SETXATTR_IN = Struct("=II")  # size, flags; then name and value
SETXATTR_EXT_IN = Struct("=IIII")  # size, flags, setxattr_flags, padding; then name and value
GETXATTR_IN = Struct("=II")  # size, padding; then the name (GETXATTR), nothing (LISTXATTR)
ACCESS_IN = Struct("=II")  # mask, padding
INTERRUPT_IN = Struct("=Q")  # unique of the request to interrupt
IOCTL_IN = Struct("=QIIQII")  # fh, flags, cmd, arg, in_size, out_size; then in_size bytes
FALLOCATE_IN = Struct("=QQQII")  # fh, offset, length, mode, padding
LSEEK_IN = Struct("=QqII")  # fh, offset, whence, padding
COPY_FILE_RANGE_IN = Struct("=QQQQQQQ")  # fh_in, off_in, nodeid_out, fh_out, off_out, len, flags

# --- replies: fuse_out_header, then the layout --------------------------------------------------
#: len, error (negated errno, or the code of a notification), unique
REPLY_HEADER = Struct("=IiQ")
_HEADER = "IiQ"
#: ino, size, blocks, atime, mtime, ctime, their nanoseconds, mode, nlink, uid, gid, rdev, blksize,
#: flags (``struct fuse_attr``)
_ATTR = "QQQqqqIIIIIIIIII"
#: nodeid, generation, entry_valid, attr_valid, their nanoseconds, attr (``struct fuse_entry_out``)
_ENTRY = "QQQQII" + _ATTR
_OPEN = "QII"  # fh, open_flags, padding
ENTRY_OUT = Struct("=" + _ENTRY)
ENTRY_REPLY = Struct("=" + _HEADER + _ENTRY)
CREATE_REPLY = Struct("=" + _HEADER + _ENTRY + _OPEN)
ATTR_REPLY = Struct("=" + _HEADER + "QII" + _ATTR)  # attr_valid, its nanoseconds, dummy, attr
OPEN_REPLY = Struct("=" + _HEADER + _OPEN)
WRITE_REPLY = Struct("=" + _HEADER + "II")  # size, padding; also of COPY_FILE_RANGE
#: blocks, bfree, bavail, files, ffree, bsize, namelen, frsize, padding, spare[6]
STATFS_REPLY = Struct("=" + _HEADER + "QQQQQIIII24x")
XATTR_SIZE_REPLY = Struct("=" + _HEADER + "II")  # size, padding
U64_REPLY = Struct("=" + _HEADER + "Q")  # LSEEK: offset; COPY_FILE_RANGE_64: bytes_copied
IOCTL_REPLY = Struct("=" + _HEADER + "iIII")  # result, flags, in_iovs, out_iovs; then bytes
#: major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran,
#: max_pages, map_alignment, flags2, max_stack_depth, request_timeout, unused
INIT_REPLY = Struct("=" + _HEADER + "IIIIHHIIHHIIH22x")
DIRENT_PLUS = Struct("=" + _ENTRY + "QQII")
DIRENT = Struct("=QQII")  # ino, off, namelen, type; then the name, padded with zeros to 8 bytes

# --- notifications: fuse_out_header with unique 0, then the layout -------------------------------
NOTIFY_INVAL_INODE = Struct("=" + _HEADER + "Qqq")  # ino, off, len
NOTIFY_INVAL_ENTRY = Struct("=" + _HEADER + "QII")  # parent, namelen, flags; then name and NUL
NOTIFY_DELETE = Struct("=" + _HEADER + "QQII")  # parent, child, namelen, padding; name and NUL
NOTIFY_STORE = Struct("=" + _HEADER + "QQII")  # nodeid, offset, size, padding; then the data
