"""READ: what is at hand is answered at once, and what an archive has to be read for from the pool.

But as long as one program alone reads, a frame that the kernel has in memory is inflated at once:
to hand that to another thread costs half as much again. Where several read, the pool inflates for
all of them at the same time (docs/adr/0005-lone-reader.md).
"""

from __future__ import annotations

from collections.abc import Callable

from djafs.extents import Piece
from djafs.fuse import Deferred, Request
from djafs.model import Inode
from djafs.store.reads import Found, Reads


class Reading:
    """Answers READ for files, those of ``live/`` and those of snapshots."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        #: The thread that the pool last read an archive for; 0 is one that is not known.
        self._reader = 0

    def live(self, request: Request, inode: Inode, offset: int, size: int) -> bytes | Deferred:
        """Read a live file."""
        found = self._reads.live_now(inode, offset, size, inflate=self._is_alone(request))
        ino = inode.ino
        return self._answer(request, found, lambda at: self._reads.live(ino, offset, size, at))

    def past(self, request: Request, state: Inode, offset: int, size: int) -> bytes | Deferred:
        """Read a state that a snapshot shows."""
        found = self._reads.past_now(state, offset, size, inflate=self._is_alone(request))
        return self._answer(request, found, lambda at: self._reads.past(state, offset, size, at))

    def _is_alone(self, request: Request) -> bool:
        return request.pid == self._reader != 0

    def _answer(
        self, request: Request, found: Found, read: Callable[[list[Piece]], bytes]
    ) -> bytes | Deferred:
        if isinstance(found, bytes):
            return found
        self._reader = request.pid
        return Deferred(lambda: read(found))
