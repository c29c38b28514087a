"""Every bit of the protocol that a filesystem may see or set, named as in linux/fuse.h.

Bits that are tested for each request are plain integers, because an IntFlag costs a method call
for each ``&``; the bits of INIT are an IntFlag, because they are dealt with once per mount.
"""

from __future__ import annotations

from enum import IntFlag

# --- SetAttributes.valid: which fields of a SETATTR are to be applied ---------------------------
FATTR_MODE = 1 << 0
FATTR_UID = 1 << 1
FATTR_GID = 1 << 2
FATTR_SIZE = 1 << 3
FATTR_ATIME = 1 << 4
FATTR_MTIME = 1 << 5
FATTR_FH = 1 << 6  # the change came through an open file; its handle is given
FATTR_ATIME_NOW = (
    1 << 7
)  # "the filesystem's present time", the time sent is only the kernel's guess
FATTR_MTIME_NOW = 1 << 8
FATTR_LOCKOWNER = 1 << 9
FATTR_CTIME = 1 << 10  # sent only with the writeback cache
FATTR_KILL_SUIDGID = 1 << 11  # a truncation that must drop set-id bits (FUSE_HANDLE_KILLPRIV_V2)

# --- Opened.flags: what the kernel may do with an open file or directory ------------------------
FOPEN_DIRECT_IO = 1 << 0  # no page cache: every read and write is a request
FOPEN_KEEP_CACHE = 1 << 1  # pages cached by earlier opens are still right
FOPEN_NONSEEKABLE = 1 << 2
FOPEN_CACHE_DIR = 1 << 3  # the kernel may keep the listing of this directory
FOPEN_STREAM = 1 << 4
FOPEN_NOFLUSH = 1 << 5  # no FLUSH at close (ABI 7.35)
FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6  # direct writes need not exclude each other (ABI 7.38)
FOPEN_PASSTHROUGH = 1 << 7  # (ABI 7.40)

# --- smaller sets -------------------------------------------------------------------------------
FUSE_OPEN_KILL_SUIDGID = 1 << 0  # open_flags of OPEN and CREATE (with O_TRUNC)
FUSE_WRITE_CACHE = 1 << 0  # write_flags: from the page cache, the handle is a guess
FUSE_WRITE_LOCKOWNER = 1 << 1
FUSE_WRITE_KILL_SUIDGID = 1 << 2  # write_flags: drop set-id bits (FUSE_HANDLE_KILLPRIV_V2)
FUSE_RELEASE_FLUSH = 1 << 0
FUSE_RELEASE_FLOCK_UNLOCK = 1 << 1
FUSE_GETATTR_FH = 1 << 0
FUSE_FSYNC_FDATASYNC = 1 << 0
FUSE_SETXATTR_ACL_KILL_SGID = 1 << 0  # setxattr_flags: drop set-gid with an access ACL
FUSE_EXPIRE_ONLY = 1 << 0  # invalidate an entry without unhashing it (FUSE_HAS_EXPIRE_ONLY)
FUSE_IOCTL_COMPAT = 1 << 0
FUSE_IOCTL_UNRESTRICTED = 1 << 1
FUSE_IOCTL_RETRY = 1 << 2
FUSE_IOCTL_32BIT = 1 << 3
FUSE_IOCTL_DIR = 1 << 4
FUSE_IOCTL_COMPAT_X32 = 1 << 5


class InitFlag(IntFlag):
    """What kernel and filesystem agree on in INIT; bits 32 and up travel in ``flags2``.

    The kernel offers what it knows, the filesystem answers with what it wants of that.
    """

    ASYNC_READ = 1 << 0  # several reads of one file may be under way
    POSIX_LOCKS = 1 << 1  # fcntl locks become requests
    FILE_OPS = 1 << 2
    ATOMIC_O_TRUNC = 1 << 3  # O_TRUNC arrives with OPEN, not as a SETATTR
    EXPORT_SUPPORT = 1 << 4  # lookup of "." and ".." by node works: NFS export, open_by_handle_at
    BIG_WRITES = 1 << 5  # writes of more than a page
    DONT_MASK = 1 << 6  # the filesystem applies the umask (it needs to for default ACLs)
    SPLICE_WRITE = 1 << 7
    SPLICE_MOVE = 1 << 8
    SPLICE_READ = 1 << 9
    FLOCK_LOCKS = 1 << 10  # flock becomes requests
    HAS_IOCTL_DIR = 1 << 11
    AUTO_INVAL_DATA = 1 << 12  # a changed mtime drops cached pages
    DO_READDIRPLUS = 1 << 13  # READDIRPLUS: entries come with their attributes
    READDIRPLUS_AUTO = 1 << 14  # ... where the kernel guesses that they will be used
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16  # writes are acknowledged before they are sent
    NO_OPEN_SUPPORT = 1 << 17  # ENOSYS to OPEN: no OPEN and RELEASE any more, opening just works
    PARALLEL_DIROPS = 1 << 18  # lookups and listings of one directory need not exclude each other
    HANDLE_KILLPRIV = 1 << 19
    POSIX_ACL = 1 << 20  # the kernel reads and checks system.posix_acl_*
    ABORT_ERROR = 1 << 21  # an aborted connection reads ECONNABORTED instead of ENODEV
    MAX_PAGES = 1 << 22  # requests of up to InitInfo.max_pages pages
    CACHE_SYMLINKS = 1 << 23  # targets of symbolic links stay in the page cache
    NO_OPENDIR_SUPPORT = 1 << 24  # ENOSYS to OPENDIR: no OPENDIR and RELEASEDIR any more
    EXPLICIT_INVAL_DATA = 1 << 25  # a changed size only truncates pages, it does not drop them all
    MAP_ALIGNMENT = 1 << 26
    SUBMOUNTS = 1 << 27
    # The filesystem drops set-id bits when told to, and on chown; saves a GETXATTR for each write.
    HANDLE_KILLPRIV_V2 = 1 << 28
    SETXATTR_EXT = 1 << 29  # SETXATTR has setxattr_flags
    INIT_EXT = 1 << 30  # flags2 is there
    INIT_RESERVED = 1 << 31
    SECURITY_CTX = 1 << 32  # creating requests carry security contexts
    HAS_INODE_DAX = 1 << 33
    CREATE_SUPP_GROUP = 1 << 34  # creating requests may carry a supplementary group
    HAS_EXPIRE_ONLY = 1 << 35
    DIRECT_IO_ALLOW_MMAP = 1 << 36  # a file opened with FOPEN_DIRECT_IO can be mapped shared
    PASSTHROUGH = 1 << 37
    NO_EXPORT_SUPPORT = 1 << 38  # refuse open_by_handle_at
    HAS_RESEND = 1 << 39
    ALLOW_IDMAP = 1 << 40
    OVER_IO_URING = 1 << 41
    REQUEST_TIMEOUT = 1 << 42
