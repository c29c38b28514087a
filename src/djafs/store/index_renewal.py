"""An index that is damaged in use: one made from the log takes its place, and serving goes on.

Order of steps: docs/ordering.md, "Repair". Neither packing nor the keeper of the log may do
anything meanwhile: what hot content may go is read from the index, and the log is being read.
"""

from __future__ import annotations

import os
import sys

from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import INDEX_SUFFIXES
from djafs.disk.lookup_line import Position
from djafs.packing.packer import Packer
from djafs.store.aside import Aside
from djafs.store.index_draft import complete, remove_draft
from djafs.store.store import Store


def renew(store: Store, packer: Packer, aside: Aside, *others: Index) -> None:
    """Make an index from the log, and turn to it; the damaged one is kept in ``aside``.

    ``packer`` runs the process that makes it, ``others`` are connections to reopen beside those
    of the store. Called without the guard. Raises PackingError, ReadOnlyStoreError,
    LookupLogDamageError, OSError, sqlite.Error.
    """
    host, layout = store.host, store.layout
    old = [path + suffix for path in (layout.index, layout.old_index) for suffix in INDEX_SUFFIXES]

    def prepare(upto: Position) -> None:
        complete(layout, store.identity.id, store.calendar, host, upto)
        aside.keep(*old)

    def take(upto: Position) -> IndexWriter:
        try:
            # A write-ahead log of the old index must not be found beside the new one.
            aside.remove(*old)
            host.rename(layout.new_index, layout.index, "repair.rename")
            host.sync_directory(layout.root, "repair.sync-directory")
            return store.turn_to_new_index(upto, *others)
        except BaseException as error:
            # What is in memory and what has the name may be two different things by now.
            store.syncer.fail("the index could not be replaced", Exception(str(error)))
            raise

    try:
        root = os.path.abspath(layout.root)
        packer.ask([sys.executable, "-m", "djafs.store.index_draft", root])
        store.syncer.replace_index(prepare, take)
    finally:
        remove_draft(host, layout)
