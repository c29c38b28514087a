"""What the filesystem tells the kernel unasked: from values to bytes; pure."""

from __future__ import annotations

from djafs.fuse import wire
from djafs.fuse.flags import FUSE_EXPIRE_ONLY
from djafs.fuse.wire import Notification


def inval_inode(nodeid: int, offset: int, length: int) -> bytes:
    """Say that cached attributes, and pages from ``offset`` on, are no longer right.

    ``length`` 0 or less means up to the end; a negative ``offset`` spares the pages.
    """
    layout = wire.NOTIFY_INVAL_INODE
    return layout.pack(layout.size, Notification.INVAL_INODE, 0, nodeid, offset, length)


def inval_entry(parent: int, name: bytes, *, expire_only: bool) -> bytes:
    """Say that a cached name, or its absence, is no longer right."""
    layout = wire.NOTIFY_INVAL_ENTRY
    size = layout.size + len(name) + 1
    flags = FUSE_EXPIRE_ONLY if expire_only else 0
    return layout.pack(size, Notification.INVAL_ENTRY, 0, parent, len(name), flags) + name + b"\0"


def delete(parent: int, child: int, name: bytes) -> bytes:
    """Say that a name is gone, so that watchers of it and of the child are told (inotify)."""
    layout = wire.NOTIFY_DELETE
    size = layout.size + len(name) + 1
    return layout.pack(size, Notification.DELETE, 0, parent, child, len(name), 0) + name + b"\0"


def store(nodeid: int, offset: int, data: bytes) -> bytes:
    """Put data into the page cache of a node."""
    layout = wire.NOTIFY_STORE
    size = layout.size + len(data)
    return layout.pack(size, Notification.STORE, 0, nodeid, offset, len(data), 0) + data
