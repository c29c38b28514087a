"""Extended attributes of ``live/``: names, sizes and refusals as on ext4 (xattr(7))."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from djafs.fuse import Request
from djafs.mounting.answers import refuse
from djafs.mounting.live import LiveOperations
from djafs.store.store import Store

XATTR_CREATE, XATTR_REPLACE = 1, 2
NAMES_MAX = 64 << 10  # bytes that listxattr(2) can return

_NAMESPACES = (b"user.", b"trusted.", b"security.")


class XattrOperations:
    """The operations on extended attributes; the kernel has checked who may use them."""

    def __init__(self, store: Store, live: LiveOperations) -> None:
        self._store = store
        self._live = live

    def getxattr(self, request: Request, name: bytes) -> bytes:
        """Return a value."""
        xattrs = self._live.inode(request.nodeid).xattrs
        if xattrs is None or name not in xattrs:
            _check_name(name)
            refuse(errno.ENODATA)
        return xattrs[name]

    def listxattr(self, request: Request) -> Iterable[bytes]:
        """Return the names; those in ``trusted.`` are for root."""
        xattrs = self._live.inode(request.nodeid).xattrs or {}
        return [n for n in xattrs if request.uid == 0 or not n.startswith(b"trusted.")]

    def setxattr(self, request: Request, name: bytes, value: bytes, flags: int) -> None:
        """Set a value."""
        _check_name(name)
        xattrs = self._live.inode(request.nodeid).xattrs or {}
        if flags & XATTR_CREATE and name in xattrs:
            refuse(errno.EEXIST)
        if flags & XATTR_REPLACE and name not in xattrs:
            refuse(errno.ENODATA)
        if xattrs.get(name) == value:
            return  # as on ext4, not even ctime changes
        if sum(len(other) + 1 for other in {*xattrs, name}) > NAMES_MAX:
            refuse(errno.ENOSPC)
        self._store.set_xattr(request.nodeid, name, value)

    def removexattr(self, request: Request, name: bytes) -> None:
        """Remove a value."""
        _check_name(name)
        if name not in (self._live.inode(request.nodeid).xattrs or {}):
            refuse(errno.ENODATA)
        self._store.set_xattr(request.nodeid, name, None)


def _check_name(name: bytes) -> None:
    if not name.startswith(_NAMESPACES):
        refuse(errno.EOPNOTSUPP)
    if name in _NAMESPACES:
        refuse(errno.EINVAL)
