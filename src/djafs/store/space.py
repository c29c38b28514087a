"""Space on the disk: what is kept free, so that a full disk can still delete, pack and recover.

Two defences (docs/adr/0003-reserve.md). Content and new names are refused while less than a
*margin* is free, which leaves room for the log, the index and an archive. And a small file, the
*reserve*, holds blocks of its own for the case that others, or a quota, take even that: it is
given up when a change that frees space cannot be logged, and made again when there is space.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading

from djafs.disk.host import Host
from djafs.disk.layout import Layout

MARGIN = 64 << 20
"""Bytes that content leaves free, on a volume of 1 GiB or more; else a sixteenth of it."""

RESERVE = 4 << 20
"""Bytes of the reserve, on a volume of 256 MiB or more; else a sixty-fourth of it."""

RECORD = 1024
"""Bytes that a change may take in log and index, beside its content."""

_LEAST = 1 << 20  # bytes without which a store is not opened on a full disk

_STRIDE = 64 << 20  # bytes that may be written before the disk is asked again

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that mean that the disk, or what one may use of it, is full."""

_log = logging.getLogger("djafs.store")


class Space:
    """Watches over the space of one store. :attr:`room` is used under the store's guard."""

    def __init__(self, host: Host, layout: Layout) -> None:
        self._host = host
        self._layout = layout
        self._lock = threading.Lock()
        self._cause = errno.ENOSPC  # what the reserve was given up for
        total = self.of_disk()[0]
        self.margin = min(MARGIN, total // 16)
        self._size = min(RESERVE, total // 64)
        self.room = 0
        """Bytes that may be written before :meth:`check` has to be asked."""

    def of_disk(self) -> tuple[int, int]:
        """Return the bytes of the volume, and those free for this process."""
        found = os.statvfs(self._layout.root)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def take(self, size: int) -> None:
        """Count ``size`` bytes that will be written (raises OSError when the disk is full)."""
        self.room -= size
        if self.room < 0:
            self.check(size)

    def check(self, size: int) -> None:
        """Return if ``size`` bytes more may be written (raises OSError, ENOSPC or EDQUOT)."""
        free = self.of_disk()[1] - self.margin
        if free < size or not self.keep():
            self.room = 0
            number = errno.ENOSPC if free < size else self._cause
            raise OSError(number, os.strerror(number))
        self.room = max(min(free // 2, _STRIDE) - size, 0)

    @property
    def is_held(self) -> bool:
        """Whether the reserve is there."""
        return os.path.exists(self._layout.reserve)

    def keep(self) -> bool:
        """Make the reserve if it is not there and there is space; return whether it is there."""
        with self._lock:
            if self.is_held:
                return True
            if self.of_disk()[1] < self.margin + 2 * self._size:
                return False
            try:
                self._make()
            except OSError as error:
                self._cause = error.errno if error.errno in FULL else errno.ENOSPC
                return False
            return True

    def provide(self) -> None:
        """Return if there is room to open a store, having given up the reserve for that if needed.

        SQLite writes through a mapping; where a disk copies on write, that needs space, and without
        any the process would be killed (SIGBUS). Raises OSError, ENOSPC or EDQUOT.
        """
        try:
            self._probe()
        except OSError as error:
            if error.errno not in FULL:
                raise
            if self.release(error.errno):
                # Quotas count what was freed only when that is on the disk.
                self._host.sync_filesystem(self._layout.root, "reserve.sync-filesystem")
            try:
                self._probe()
            except OSError as left:
                what = "no room to open the store: free some megabytes, or raise the quota"
                raise OSError(left.errno, what) from left

    def _probe(self) -> None:
        draft = self._layout.reserve + ".tmp"
        self._allocate(draft, min(_LEAST, self._size))
        self._remove(draft)

    def _make(self) -> None:
        draft = self._layout.reserve + ".tmp"  # only a whole reserve has the name
        self._allocate(draft, self._size)
        try:
            self._host.rename(draft, self._layout.reserve, "reserve.rename")
        except OSError:
            self._remove(draft)
            raise

    def _allocate(self, draft: str, size: int) -> None:
        """Make a file that holds so many bytes of the disk (raises OSError, and leaves none)."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = self._host.open(draft, flags, "reserve.create")
        try:
            self._host.allocate(descriptor, max(size, 1), "reserve.allocate")
        except OSError:
            self._remove(draft)
            raise
        finally:
            self._host.close(descriptor)

    def _remove(self, draft: str) -> None:
        with contextlib.suppress(OSError):
            self._host.unlink(draft, "reserve.unlink")

    def release(self, cause: int = errno.ENOSPC) -> bool:
        """Give up the reserve for what must go on; return whether there was one."""
        with self._lock:
            self.room = 0
            self._cause = cause
            try:
                self._host.unlink(self._layout.reserve, "reserve.release")
            except FileNotFoundError:
                return False
            _log.warning("%s: the disk is full; using the space kept in reserve", self._layout.root)
            return True
