"""``live/``: the operations of the kernel on the content of files.

With zero-message open no operation has a handle: all of them name the inode.
"""

from __future__ import annotations

import errno
import os

from djafs.fuse import Deferred, Request, flags
from djafs.model import Inode
from djafs.mounting.answers import refuse
from djafs.mounting.live import LiveOperations
from djafs.mounting.pressure import Pressure
from djafs.mounting.privileges import bare_mode
from djafs.mounting.reading import Reading
from djafs.store.store import Store

BLOCK = 4096
"""Bytes that are data or a hole as a whole to lseek(2)."""


class ContentOperations:
    """The operations on the content of live inodes."""

    def __init__(
        self, store: Store, live: LiveOperations, reading: Reading, pressure: Pressure
    ) -> None:
        self._store = store
        self._live = live
        self._reading = reading
        self._pressure = pressure

    def read(self, request: Request, offset: int, size: int) -> bytes | Deferred:
        """Read content; from an archive that is not in memory off the answering thread."""
        return self._reading.live(request, self._live.inode(request.nodeid), offset, size)

    def write(
        self, request: Request, offset: int, data: memoryview, write_flags: int
    ) -> int | Deferred:
        """Write content to the hot log; the answer waits while that is too large."""
        mode = None
        if write_flags & flags.FUSE_WRITE_KILL_SUIDGID:
            mode = bare_mode(request, self._live.inode(request.nodeid))
        if data:
            self._store.write(request.nodeid, offset, data, mode)
        length, hot = len(data), self._store.hot.size
        if hot > self._pressure.begins:
            return Deferred(lambda: length, self._pressure.delay(hot, length))
        return length

    def fsync(self, request: Request) -> Deferred:
        """Make durable what was acknowledged so far."""
        seq = self._store.log.seq
        return Deferred(lambda: self._store.syncer.sync_for(seq), shared=True)

    def fallocate(self, request: Request, offset: int, length: int, mode: int) -> None:
        """Extend, punch or zero; space itself is not reserved (docs/limits.md)."""
        keep_size, punch_hole, zero_range = 1, 2, 16
        inode = self._live.inode(request.nodeid)
        if mode & ~(keep_size | punch_hole | zero_range) or not inode.is_regular:
            refuse(errno.EOPNOTSUPP)
        if mode & punch_hole and not mode & keep_size:
            refuse(errno.EOPNOTSUPP)
        self._drop_bits(request, inode)
        end = offset + length
        size = inode.size if mode & keep_size else max(inode.size, end)
        if mode & (punch_hole | zero_range):
            self._store.punch(inode.ino, offset, length, size)
        else:
            self._store.setattr(inode.ino, size=size)  # marks the times in any case

    def lseek(self, request: Request, offset: int, whence: int) -> int:
        """Find the next data (SEEK_DATA) or hole (SEEK_HOLE), in whole blocks as on ext4."""
        inode = self._live.inode(request.nodeid)
        if not 0 <= offset < inode.size:
            refuse(errno.ENXIO)
        block = offset - offset % BLOCK
        if whence == os.SEEK_DATA:
            found = self._store.seek(inode, block, data=True)
            if found is None:
                refuse(errno.ENXIO)
            return max(offset, found - found % BLOCK)
        while block < inode.size:
            found = self._store.seek(inode, block, data=True)
            if found is None or found >= block + BLOCK:
                return max(offset, block)
            end = self._store.seek(inode, found, data=False) or 0
            block = end + -end % BLOCK
        return inode.size

    def copy_file_range(
        self, request: Request, offset: int, ino: int, offset_out: int, length: int
    ) -> int:
        """Copy by letting both files refer to the same bytes."""
        source = self._live.inode(request.nodeid)
        length = min(length, source.size - offset)
        if length <= 0:
            return 0
        self._drop_bits(request, self._live.inode(ino))
        self._store.clone(source.ino, offset, ino, offset_out, length)
        return length

    def _drop_bits(self, request: Request, inode: Inode) -> None:
        """Take set-id bits away, as a write does, from a file that somebody else changes."""
        mode = None if request.uid == 0 else bare_mode(request, inode)
        if mode is not None:
            self._store.setattr(inode.ino, mode=mode)
