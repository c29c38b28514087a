"""The contract of operations on a node as such: attributes, extended attributes, its lifetime.

In every method ``request.nodeid`` is the node. See :mod:`djafs.fuse.handler` for what holds for
all of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from typing import NoReturn

from djafs.fuse.values import AttributesReply, Deferred, Request, SetAttributes, Statfs


def not_implemented() -> NoReturn:
    """Raise ENOSYS, which the kernel takes as "never ask this again" for many operations."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


class NodeOperations:
    """Operations on nodes; all of them answer ENOSYS until overridden."""

    def forget(self, nodeid: int, nlookup: int) -> None:
        """Take back ``nlookup`` of the lookups that were answered for a node.

        The kernel sends it when it drops a node from its cache, at any later time. A node whose
        count has come to 0 will not be asked about again unless a new entry leads to it: a file
        without names may then be deleted. There is no reply, so nothing can be refused. The root
        node is never forgotten, and when the filesystem is unmounted the kernel need not send
        what is left: :meth:`~djafs.fuse.handler.Handler.destroy` means that all is forgotten.
        """

    def batch_forget(self, forgets: Sequence[tuple[int, int]]) -> None:
        """Take back many (node, nlookup) at once; as :meth:`forget` for each."""
        for nodeid, nlookup in forgets:
            self.forget(nodeid, nlookup)

    def getattr(self, request: Request, handle: int | None) -> AttributesReply | Deferred:
        """Return the attributes of the node.

        Sent by stat(2) and the like when what the kernel knows is older than it was valid, or was
        dropped: after a write, and for a directory after every change in it. In that case also
        before appending, and, with ``default_permissions``, before the directory is searched.
        ``handle`` is given when an open file is asked about. The type in ``mode`` must be that of
        the entry: a node whose type changes is made bad by the kernel.
        """
        not_implemented()

    def setattr(self, request: Request, changes: SetAttributes) -> AttributesReply | Deferred:
        """Apply the changes whose bit is set in ``changes.valid``, all of them or none.

        Sent by chmod, chown, truncate, ftruncate, utimensat, by open with O_TRUNC (after OPEN),
        and by the kernel itself to drop set-id bits before a write, unless
        FUSE_HANDLE_KILLPRIV_V2 is in force: then the filesystem drops them on chown always, and
        on truncation where FATTR_KILL_SUIDGID is set (set-gid only if the group may execute).
        With ``default_permissions`` the kernel has checked who may do this. The filesystem
        updates ctime itself, and mtime when the size changes. With FATTR_ATIME_NOW or
        FATTR_MTIME_NOW it uses its own clock.
        """
        not_implemented()

    def access(self, request: Request, mask: int) -> Deferred | None:
        """Say whether the caller may (access(2), chdir(2)): return, or raise EACCES.

        Never sent with ``default_permissions``. ENOSYS means "always", and is not asked again.
        """
        not_implemented()

    def statfs(self, request: Request) -> Statfs | Deferred:
        """Return how much room there is. The kernel caches nothing of it."""
        not_implemented()

    def getxattr(self, request: Request, name: bytes, size: int) -> bytes | Deferred:
        """Return the *whole* value of an extended attribute; ENODATA if it has none of that name.

        ``size`` is the caller's room, 0 when only the size of the value is wanted: the server
        answers with that, or with ERANGE, so it need not be looked at. Nothing is cached. The
        kernel asks for ``security.capability`` before every write through the page cache, with
        FUSE_HANDLE_KILLPRIV_V2 only before the first one since it got the attributes, and for
        ``system.posix_acl_*`` with FUSE_POSIX_ACL. ENOSYS means that nothing
        here has extended attributes: not asked again, callers get EOPNOTSUPP.
        """
        not_implemented()

    def listxattr(self, request: Request, size: int) -> Iterable[bytes] | Deferred:
        """Return the names of all extended attributes, in any order, without terminators.

        ``size`` as in :meth:`getxattr`. ENOSYS as there.
        """
        not_implemented()

    def setxattr(
        self, request: Request, name: bytes, value: bytes, flags: int, setxattr_flags: int
    ) -> Deferred | None:
        """Set an extended attribute.

        ``flags`` is 0, XATTR_CREATE (EEXIST if it is there) or XATTR_REPLACE (ENODATA if it is
        not). ``setxattr_flags`` is 0 unless FUSE_SETXATTR_EXT is in force: then
        FUSE_SETXATTR_ACL_KILL_SGID asks to drop the set-gid bit, because an access ACL is set by
        someone outside the group. ENOSYS as in :meth:`getxattr`.
        """
        not_implemented()

    def removexattr(self, request: Request, name: bytes) -> Deferred | None:
        """Remove an extended attribute; ENODATA if it is not there. ENOSYS as in getxattr."""
        not_implemented()
