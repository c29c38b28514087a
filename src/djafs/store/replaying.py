"""Applying what the lookup log says, record by record."""

from __future__ import annotations

from collections.abc import Iterator

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
    last = start
    for last in apply_log(layout, store, tree, start, end):
        if len(tree.batch) >= BATCH or tree.batch.sealed:
            writer.apply(tree.freeze(last))
            tree.thaw()
    last = end or last
    if len(tree.batch) or tree.batch.position != last:
        writer.apply(tree.freeze(last))
        tree.thaw()
    writer.checkpoint()


def apply_log(
    layout: Layout, store: str, tree: Tree, start: Position, end: Position | None
) -> Iterator[Position]:
    """Apply the log to the tree alone, and yield the position behind each record.

    From and up to where :func:`replay` does, which raises the same.
    """
    changes = Changes(tree)
    check = Plausible(tree).check
    reader = LookupReader(layout, store, start)
    reached = start
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
        reached = position
        yield position
    if end is not None and reader.damage is not None and reached.seq < end.seq:
        raise LookupLogDamageError(f"{reader.damage}; run djafs validate -v")
