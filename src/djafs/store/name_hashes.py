"""Which names are not in the index, told from hashes in memory.

Spares a query for each name that is new, which is most of what is looked up in a directory that is
being filled.
"""

from __future__ import annotations

from djafs.disk import rows
from djafs.disk.batch import Batch
from djafs.disk.index import Index
from djafs.model import Inode

HASHES = 1 << 16
"""Hashes of names kept in memory (some 8 MiB)."""

ASKED = 256
"""Directories of which it is known how many names were asked for there."""

WORTH = 16
"""Hashes of names that can be read, about, in the time of one question to the index."""


class NameHashes:
    """The hashes of at least the names that the index has, of directories that are busy."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._hashes: dict[int, set[int]] = {}  # by directory
        self._count = 0  # of all of them
        self._asked_in: dict[int, int] = {}  # directories, and how many names were asked for there

    def may_have(self, parent: int, name: bytes) -> bool | None:
        """Return whether a name may be in a directory, None if :meth:`read` has to tell."""
        found = self._hashes.get(parent)
        return None if found is None else rows.name_hash(name) in found

    def read(self, directory: Inode | None, name: bytes, *batches: Batch | None) -> bool:
        """Return whether a name may be in a directory; read its hashes if that is worth it.

        ``batches`` are those that the index will have too.
        """
        if directory is None or not self._is_busy(directory):
            return True
        parent = directory.ino
        found = self._index.name_hashes(parent)
        for batch in batches:
            if batch is not None:
                found.update(map(rows.name_hash, batch.names.get(parent, ())))
        while self._hashes and self._count + len(found) > HASHES:
            self._forget(next(iter(self._hashes)))
        self._hashes[parent] = found
        self._count += len(found)
        return rows.name_hash(name) in found

    def add(self, parent: int, name: bytes) -> None:
        """Note a name that was given."""
        hashes = self._hashes.get(parent)
        if hashes is None:
            return
        before = len(hashes)
        if before < HASHES // 4:
            hashes.add(rows.name_hash(name))
            self._count += len(hashes) - before
        else:
            self._forget(parent)

    def _forget(self, parent: int) -> None:
        self._count -= len(self._hashes.pop(parent))

    def _is_busy(self, directory: Inode) -> bool:
        """Count a name that was asked for; return whether the directory's hashes are worth reading.

        Reading them costs as much as several questions: for a few names at random, of directories
        without number, it would be most of the work.
        """
        if directory.entries > HASHES // 4:
            return False
        asked = self._asked_in.pop(directory.ino, 0) + 1
        if asked * WORTH >= directory.entries:
            return True
        if len(self._asked_in) >= ASKED:
            del self._asked_in[next(iter(self._asked_in))]
        self._asked_in[directory.ino] = asked
        return False
