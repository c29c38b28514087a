"""The contract of operations on the content of files.

``request.nodeid`` is the file, and ``handle`` the one that OPEN or CREATE gave, 0 where OPEN
answers ENOSYS. Content cached by the kernel is read and mapped without any request. See
:mod:`djafs.fuse.handler` for what holds for all methods.
"""

from __future__ import annotations

from djafs.fuse.node_operations import not_implemented
from djafs.fuse.values import Deferred, IoctlReply, Opened, Request


class ContentOperations:
    """Operations on content; all of them answer ENOSYS until overridden."""

    def open(self, request: Request, flags: int, open_flags: int) -> Opened | Deferred:
        """Open a file with the ``flags`` of the system call less O_CREAT, O_EXCL and O_TRUNC.

        With ``default_permissions`` the kernel has checked them. FOPEN_KEEP_CACHE keeps what the
        kernel has cached of the content; without it everything is dropped. ENOSYS: with
        FUSE_NO_OPEN_SUPPORT every open succeeds from now on without a request, with
        FOPEN_KEEP_CACHE and handle 0, and RELEASE is not sent any more.
        """
        not_implemented()

    def read(
        self, request: Request, handle: int, offset: int, size: int, flags: int
    ) -> bytes | bytearray | memoryview | Deferred:
        """Return ``size`` bytes from ``offset`` on; fewer only at the end of the file.

        The kernel takes fewer as the end, and corrects the size that it has cached. Sent for
        pages that are not cached, ahead of what was asked for, and maybe several at a time.
        """
        not_implemented()

    def write(
        self,
        request: Request,
        handle: int,
        offset: int,
        data: memoryview,
        write_flags: int,
        flags: int,
    ) -> int | Deferred:
        """Write ``data`` at ``offset``, growing the file if need be; return how much was taken.

        Less than all of it is a short write to the caller. ``data`` points into the server's
        buffer and is released when the method returns: take ``bytes(data)`` of what is kept, in a
        deferred write above all. ``offset`` is right for O_APPEND too. ``write_flags``: with
        FUSE_WRITE_CACHE the data comes from a shared mapping, and ``request`` does not say by
        whom; with FUSE_WRITE_KILL_SUIDGID (only if FUSE_HANDLE_KILLPRIV_V2 is in force) drop the
        set-id bits, set-gid only if the group may execute. The filesystem updates mtime and ctime
        itself; the kernel forgets those that it has cached, and asks when they are wanted.
        """
        not_implemented()

    def flush(self, request: Request, handle: int) -> Deferred | None:
        """Take note that a descriptor was closed; an error raised here is what close(2) returns.

        Sent for each close, so more often than RELEASE (dup, fork). ENOSYS: not sent any more.
        """
        not_implemented()

    def release(
        self, request: Request, handle: int, flags: int, release_flags: int
    ) -> Deferred | None:
        """Drop an open file: the last descriptor and mapping of it are gone.

        Sent once for each OPEN and CREATE, some time later, and nobody sees errors. Not sent
        where OPEN answers ENOSYS.
        """
        not_implemented()

    def fsync(self, request: Request, handle: int, datasync: bool) -> Deferred | None:
        """Make the content durable, and the attributes too unless ``datasync``.

        Everything written before has been sent by then, pages of mappings included. Also sent by
        msync(2) and for O_SYNC. ENOSYS: taken as done, not asked again.
        """
        not_implemented()

    def fallocate(
        self, request: Request, handle: int, offset: int, length: int, mode: int
    ) -> Deferred | None:
        """Reserve, punch out or zero a range: ``mode`` has FALLOC_FL_* flags.

        EOPNOTSUPP for a mode that is not known. ENOSYS: callers get EOPNOTSUPP, not asked again.
        """
        not_implemented()

    def lseek(self, request: Request, handle: int, offset: int, whence: int) -> int | Deferred:
        """Return where the next data (SEEK_DATA) or hole (SEEK_HOLE) from ``offset`` on begins.

        The end of the file counts as a hole; ENXIO if ``offset`` is not before the end, or no
        data follows. ENOSYS: the kernel takes the file as all data, and does not ask again.
        """
        not_implemented()

    def copy_file_range(
        self,
        request: Request,
        handle: int,
        offset: int,
        nodeid_out: int,
        handle_out: int,
        offset_out: int,
        length: int,
        flags: int,
    ) -> int | Deferred:
        """Copy a range from this file to another one of this mount; return how much was copied.

        What the kernel had cached of either has been written before, and is dropped after.
        ``flags`` is 0. ENOSYS or EOPNOTSUPP: the kernel reads and writes instead. The server
        answers both forms of the request; in the older one ``length`` is below 4 GiB.
        """
        not_implemented()

    def ioctl(
        self,
        request: Request,
        handle: int,
        flags: int,
        command: int,
        argument: int,
        in_bytes: bytes,
        out_size: int,
    ) -> IoctlReply | Deferred:
        """Carry out a ``command`` that encodes the size of its argument (see _IOWR).

        ``in_bytes`` is what ``argument``, an address in the caller, points at if the command
        sends something, and ``out_size`` the room there if it receives something. FUSE_IOCTL_DIR
        in ``flags``: on a directory. ENOTTY for a command that is not known, as for ENOSYS.
        """
        not_implemented()

    def syncfs(self, request: Request) -> Deferred | None:
        """Make the whole filesystem durable (syncfs(2)); ``request.nodeid`` is the root.

        Linux sends it only to virtiofs and block device mounts so far; for others syncfs(2) does
        nothing.
        """
        not_implemented()
