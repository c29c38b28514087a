"""The contract of operations on names: looking up, making, removing, renaming, listing.

``request.nodeid`` is the directory, except where said. The kernel keeps operations that change a
directory apart from each other (it holds the directory's lock until the reply), and checks with
``default_permissions`` that the caller may. Names come without ``/``, of up to 1024 bytes, or 4095
with newer kernels: ENAMETOOLONG for more than the filesystem takes is its own to raise. See
:mod:`djafs.fuse.handler` for what holds for all methods.

A new node belongs to ``request.uid``, and to ``request.gid`` unless the directory is set-gid:
then it takes the directory's group, and a new directory is set-gid too. ``mode`` has been through
``umask`` already, unless FUSE_DONT_MASK is in force: then the filesystem does it, which it must
not where the directory has a default ACL. Since Linux 6.0 the kernel has also dropped the set-gid
bit from ``mode`` where the caller may not have it; before, that is left to the filesystem.
"""

from __future__ import annotations

from collections.abc import Iterable

from djafs.fuse.node_operations import not_implemented
from djafs.fuse.values import Created, Deferred, DirectoryEntry, Entry, Opened, Request


class NameOperations:
    """Operations on names; all of them answer ENOSYS until overridden."""

    def lookup(self, request: Request, name: bytes) -> Entry | Deferred:
        """Return the entry for a name, and count a lookup of its node.

        Sent when the kernel does not know the name, or knew it longer ago than it was valid.
        Raise ENOENT if it does not exist, or return
        :func:`~djafs.fuse.values.negative_entry` to have that remembered. ``.`` and ``..`` are
        asked for only with FUSE_EXPORT_SUPPORT, ``.`` in a node that may be anything.
        """
        not_implemented()

    def readlink(self, request: Request) -> bytes | Deferred:
        """Return where the symbolic link ``request.nodeid`` points; with FUSE_CACHE_SYMLINKS once.

        At most a page less one byte.
        """
        not_implemented()

    def symlink(self, request: Request, name: bytes, target: bytes) -> Entry | Deferred:
        """Create a symbolic link, and count a lookup of it. EEXIST if the name exists."""
        not_implemented()

    def mknod(
        self, request: Request, name: bytes, mode: int, rdev: int, umask: int
    ) -> Entry | Deferred:
        """Create a node of the type in ``mode``, and count a lookup. EEXIST if the name exists.

        Sent for FIFOs, sockets and devices (``rdev`` says which), and for regular files by
        mknod(2), or by open(2) where CREATE has answered ENOSYS.
        """
        not_implemented()

    def mkdir(self, request: Request, name: bytes, mode: int, umask: int) -> Entry | Deferred:
        """Create a directory, and count a lookup. ``mode`` has no type. EEXIST if it exists."""
        not_implemented()

    def create(
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created | Deferred:
        """Create a regular file and open it, and count a lookup.

        Sent by open(2) with O_CREAT for a name that the kernel takes not to exist. If it does,
        open it, but raise EEXIST where ``flags`` has O_EXCL. ``flags`` are those of open(2).
        The answer also says how this open file is cached, even where OPEN has answered ENOSYS;
        in that case no RELEASE follows. ENOSYS makes the kernel use MKNOD and OPEN instead.
        """
        not_implemented()

    def tmpfile(
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created | Deferred:
        """Create and open a regular file without a name (O_TMPFILE), and count a lookup.

        ``name`` is of no use. LINK may give it a name later, unless O_EXCL. ENOSYS means that
        O_TMPFILE is not supported, and is not asked again.
        """
        not_implemented()

    def link(self, request: Request, nodeid: int, new_name: bytes) -> Entry | Deferred:
        """Give the node ``nodeid`` another name in the directory, and count a lookup of it.

        Never sent for a directory. EEXIST if the name exists. The entry is that of ``nodeid``,
        with its new ``nlink``.
        """
        not_implemented()

    def unlink(self, request: Request, name: bytes) -> Deferred | None:
        """Remove a name of something that is not a directory.

        The node lives on while it has other names, or lookups that were not forgotten: it may be
        open, and is then still read and written.
        """
        not_implemented()

    def rmdir(self, request: Request, name: bytes) -> Deferred | None:
        """Remove an empty directory; ENOTEMPTY otherwise. The node lives on until forgotten."""
        not_implemented()

    def rename(
        self, request: Request, name: bytes, new_parent: int, new_name: bytes, flags: int
    ) -> Deferred | None:
        """Move a name to ``new_name`` in the directory ``new_parent``, atomically.

        A name that is there is replaced: ENOTEMPTY for a directory that is not empty, EISDIR and
        ENOTDIR where only one of the two is a directory (the kernel checks that itself). With
        RENAME_NOREPLACE in ``flags`` raise EEXIST instead; with RENAME_EXCHANGE both must exist
        and change places; EINVAL for a flag that is not known. The kernel has made sure that no
        directory goes into itself, and that the two names do not lead to the same node.
        """
        not_implemented()

    def opendir(self, request: Request, flags: int) -> Opened | Deferred:
        """Open the directory ``request.nodeid`` for listing.

        FOPEN_CACHE_DIR lets the kernel keep the listing, and, with FOPEN_KEEP_CACHE, use it for
        later opens; changes through the mount drop it, others have to be notified. ENOSYS: with
        FUSE_NO_OPENDIR_SUPPORT every opendir succeeds from now on without a request, with both
        flags and handle 0.
        """
        not_implemented()

    def readdir(
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterable[DirectoryEntry] | Deferred:
        """Return the entries of the directory after the one whose cookie is ``offset``.

        From the start if it is 0. The server takes as many as fit into ``size`` bytes and drops
        the first that does not, so a lazy iterable serves best. None at all ends the listing.
        ``.`` and ``..`` are entries like any other, and most programs expect them.
        """
        not_implemented()

    def readdirplus(
        self, request: Request, handle: int, offset: int, size: int
    ) -> Iterable[DirectoryEntry] | Deferred:
        """Return the entries as :meth:`readdir` does, each with the entry that LOOKUP would give.

        Only entries that were *sent* count as a lookup, and never ``.``, ``..`` or those without
        a node: in a generator, count after ``yield``, which is resumed for those that fitted and
        for no others. Sent instead of READDIR with FUSE_DO_READDIRPLUS; with
        FUSE_READDIRPLUS_AUTO for the first part of a listing, and further ones if the caller
        looks at the attributes. ENOSYS is an error to the caller: do not negotiate the flag.
        """
        not_implemented()

    def releasedir(self, request: Request, handle: int) -> Deferred | None:
        """Close a directory; sent once for each OPENDIR. The caller does not see errors."""
        not_implemented()

    def fsyncdir(self, request: Request, handle: int, datasync: bool) -> Deferred | None:
        """Make the names in the directory durable. ENOSYS: taken as done, not asked again."""
        not_implemented()
