"""Applying what the lookup log says, record by record."""

from __future__ import annotations

from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import Position
from djafs.disk.lookup_reader import LookupReader
from djafs.errors import LookupLogDamageError
from djafs.store.changes import Changes
from djafs.store.plausible import MISFITS, Plausible
from djafs.store.syncer import BATCH
from djafs.store.tree import Tree


def replay(
    layout: Layout,
    store: str,
    tree: Tree,
    writer: IndexWriter,
    start: Position,
    end: Position | None,
) -> None:
    """Apply the log from ``start`` to ``end`` to the tree, and to the index batch by batch.

    Without ``end``, up to the last line that is whole. Raises LookupLogDamageError.
    """
    changes = Changes(tree)
    check = Plausible(tree).check
    reader = LookupReader(layout, store, start)
    for record, position in reader:
        if end is not None and position.seq > end.seq:
            break
        try:
            check(record)
            changes.apply(record)
        except MISFITS as error:
            raise LookupLogDamageError(
                f"record {record.seq} of the lookup log does not fit what is before it: {error!r}; "
                "run djafs validate -v"
            ) from error
        if len(tree.batch) >= BATCH or tree.batch.sealed:
            writer.apply(tree.freeze(position))
            tree.thaw()
    last = reader.position if end is None else end
    if reader.damage is not None and reader.position.seq < last.seq:
        raise LookupLogDamageError(f"{reader.damage}; run djafs validate -v")
    if len(tree.batch) or tree.batch.position != last:
        writer.apply(tree.freeze(last))
        tree.thaw()
    writer.checkpoint()
