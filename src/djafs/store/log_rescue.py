"""A damaged lookup log in use: a checkpoint of the index takes the place of what is lost.

Checkpoints are made from the log, so that what went wrong in the index never becomes the truth.
Where the log is damaged the index is the only one that still knows what it said.
"""

from __future__ import annotations

import os
from functools import partial

from djafs.disk import checkpoint
from djafs.disk.index import Index
from djafs.disk.log_closing import drop_from_memory, write_compressed
from djafs.disk.lookup_line import Position
from djafs.disk.lookup_reader import segment_start
from djafs.errors import LookupLogDamageError, UsageError
from djafs.store.aside import Aside
from djafs.store.store import Store

_ATTEMPTS = 20
"""Times that the index may have moved on before it could be held still."""


def checkpoint_of_index(store: Store, aside: Aside, damaged: list[str]) -> None:
    """Make a checkpoint, and set ``damaged`` files of ``lookups/`` aside, which it covers.

    The checkpoint goes up to the first line of a new segment. Others are answered meanwhile.
    Raises ReadOnlyStoreError, OSError, LookupLogDamageError.
    """
    host, layout = store.host, store.layout
    paths = [path for where in damaged for path in _paths_of(store, where)]
    index, position = _index_at_segment(store)
    try:
        path = layout.checkpoint(position.segment - 1)
        draft = path + ".tmp"
        lines = checkpoint.checkpoint_lines(index.connection, store.identity.id)
        write_compressed(host, draft, lines, "checkpoint")
        drop_from_memory(draft)
        checkpoint.compare(draft, store.identity.id, index)
    finally:
        index.close()
    aside.keep(path, *paths)
    host.rename(draft, path, "checkpoint.rename")
    host.sync_directory(layout.lookups, "checkpoint.sync-directory")
    # Recovery must not look back into what goes: there has to be a durable mark behind it.
    store.syncer.flush()
    if store.syncer.confirm():
        aside.remove(*(old for old in paths if old != path))


def _paths_of(store: Store, where: str) -> list[str]:
    """Return the paths that a file of the log may have by now: it may have been compressed."""
    path = os.path.normpath(os.path.join(store.layout.root, where))
    if os.path.dirname(path) != store.layout.lookups:
        raise UsageError(f"{where} is no file of the lookup log")
    return [path, path + ".zst"] if path.endswith(".djfl") else [path]


def _index_at_segment(store: Store) -> tuple[Index, Position]:
    """Begin a segment; return the index as it is behind its first line, held still."""
    for _ in range(_ATTEMPTS):
        store.syncer.flush(partial(store.log.roll, store.clock()))
        begun = store.log.position.segment
        index = Index.open_read_only(store.layout)
        index.connection.execute("BEGIN")
        position = index.position()
        if position.segment == begun and position.seq == _first_of(store, begun):
            return index, position
        index.close()
    raise LookupLogDamageError(f"{store.layout.lookups}: no checkpoint could be made: try again")


def _first_of(store: Store, number: int) -> int:
    """Return the number of the first record of a segment."""
    return segment_start(store.layout, number).seq + 1
