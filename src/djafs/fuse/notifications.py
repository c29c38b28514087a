"""What the filesystem tells the kernel unasked: from values to bytes (pure), and to the device."""

from __future__ import annotations

import errno
import os
import threading

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


#: Errors of a write to the device that harm nobody: the kernel does not wait for this reply, or
#: does not know the notified node or name; or the filesystem is gone.
NOT_WANTED = {errno.ENOENT, errno.ENODEV, errno.ECONNABORTED}


class Notifier:
    """Sends notifications through the descriptor of a mount.

    They may be sent by any thread but the one that serves, and not while its guard is held: the
    kernel may first wait for requests about that node to be answered. Each returns False if the
    kernel does not know the node or name, or the filesystem is gone, and raises OSError if what
    it asks cannot be done.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        #: Held while a notification is written, so that it cannot meet a closed descriptor.
        self._notifying = threading.Lock()
        self._closed = False

    def notify_inval_inode(self, nodeid: int, offset: int = 0, length: int = 0) -> bool:
        """Drop what the kernel has cached of a node: its attributes, and pages from ``offset`` on.

        ``length`` 0 means to the end, a negative ``offset`` no pages at all.
        """
        return self._notify(inval_inode(nodeid, offset, length))

    def notify_inval_entry(self, parent: int, name: bytes, *, expire_only: bool = False) -> bool:
        """Drop a cached name, or the knowledge that it does not exist.

        With ``expire_only`` (FUSE_HAS_EXPIRE_ONLY) it is only looked up again when next used.
        """
        return self._notify(inval_entry(parent, name, expire_only=expire_only))

    def notify_delete(self, parent: int, child: int, name: bytes) -> bool:
        """Tell that a name was removed, so that inotify tells it too."""
        return self._notify(delete(parent, child, name))

    def notify_store(self, nodeid: int, offset: int, data: bytes) -> bool:
        """Put ``data`` into the kernel's cache of a file."""
        return self._notify(store(nodeid, offset, data))

    def _notify(self, message: bytes) -> bool:
        with self._notifying:
            if self._closed:
                return False
            try:
                os.write(self._descriptor, message)
            except OSError as error:
                if error.errno in NOT_WANTED:
                    return False
                raise
        return True

    def _close(self) -> None:
        """Close the descriptor; later notifications return False."""
        with self._notifying:
            self._closed = True
            os.close(self._descriptor)
