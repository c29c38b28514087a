"""Reading files: at once if what they hold is at hand, else in two steps.

The first step, under the guard, says where the bytes lie; the second reads the disk without it.
Packing may move them in between: then they are looked for again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from djafs.errors import DamageError
from djafs.extents import PART, Piece
from djafs.model import Inode
from djafs.store.content import ContentReader
from djafs.store.snapshots import Snapshots
from djafs.store.syncer import Syncer
from djafs.store.tree import Tree, parts_of

Found = bytes | list[Piece]
"""The bytes themselves, or the pieces that they are to be read from; none: to be looked for."""


class Reads:
    """Reads ranges of files, those of ``live/`` and those of snapshots."""

    def __init__(
        self,
        guard: AbstractContextManager[Any],
        tree: Tree,
        content: ContentReader,
        snapshots: Snapshots,
        syncer: Syncer,
    ) -> None:
        self._guard = guard
        self._tree = tree
        self._content = content
        self._snapshots = snapshots
        self._syncer = syncer

    def live_now(self, inode: Inode, offset: int, size: int, *, inflate: bool = False) -> Found:
        """Return a range of a live file, or what :meth:`live` is to be given. Under the guard.

        ``inflate``: frames of archives too, if the kernel has them in memory.
        """
        try:
            pieces = self._content.pieces(inode, offset, size)
            data = self._content.read_now(pieces, inflate=inflate)
        except DamageError:
            return []
        return pieces if data is None else data

    def live(self, ino: int, offset: int, size: int, pieces: list[Piece] | None = None) -> bytes:
        """Return a range of a live file, from ``pieces`` if they are known.

        Called without the guard; may read the disk. Raises DamageError when what the store holds
        is not what was written.
        """

        def look() -> list[Piece]:
            with self._guard:
                inode = self._tree.inode(ino)
                return self._content.pieces(inode, offset, size) if inode else []

        return self._read(pieces, look)

    def past_now(self, state: Inode, offset: int, size: int, *, inflate: bool = False) -> Found:
        """Return a range of a state that a snapshot shows, as :meth:`live_now`, for :meth:`past`.

        At hand is the first part alone.
        """
        end = min(offset + size, state.size)
        if offset < end and end > PART:
            return []
        return self.live_now(state, offset, size, inflate=inflate)

    def past(
        self, state: Inode, offset: int, size: int, pieces: list[Piece] | None = None
    ) -> bytes:
        """Return a range of a state that a snapshot showed, as :meth:`live`.

        With the index up to date. Raises OSError (ESTALE) if no snapshot shows it any more.
        """
        size = min(size, state.size - offset)
        shown = [] if pieces else [state]

        def look() -> list[Piece]:
            if not shown:  # moved by packing: ask for the state as it is stored now
                self._syncer.catch_up()
                fresh = self._snapshots.version(state)
                if fresh is None:
                    raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
                shown.append(fresh)
            return self._pieces_of(shown.pop(), offset, size)

        return self._read(pieces, look)

    def _pieces_of(self, state: Inode, offset: int, size: int) -> list[Piece]:
        found: list[Piece] = []
        for number, begin, length in parts_of(offset, max(size, 0)):
            extents = self._snapshots.extents(state, number)
            with self._guard:
                found += self._content.locate(extents, begin, length)
        return found

    def _read(self, pieces: list[Piece] | None, look: Callable[[], list[Piece]]) -> bytes:
        """Read what ``look`` finds; again, if packing has moved it, until it finds the same."""
        pieces = pieces or look()
        while True:
            try:
                return self._content.read(pieces)
            except DamageError:
                again = look()
                if again == pieces:
                    raise
                pieces = again
