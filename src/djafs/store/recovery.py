"""From what lies on disk to a tree that is up to date: at every mount, after any ending.

docs/ordering.md says which endings there are and why each is harmless.
"""

from __future__ import annotations

import os
import sqlite3
from typing import NamedTuple

from djafs.disk import lookup_log
from djafs.disk.host import Host
from djafs.disk.hot_log import HotReader, pack_checksums
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import Layout
from djafs.disk.lookup_log import START, LookupReader, Position
from djafs.disk.records import Sync, Write
from djafs.errors import HotLogDamageError, IndexDamageError, LookupLogDamageError
from djafs.model import Calendar
from djafs.store.changes import Changes
from djafs.store.syncer import BATCH
from djafs.store.tree import Tree


class Recovered(NamedTuple):
    """A tree, its index, and what was done to get there."""

    tree: Tree
    writer: IndexWriter
    reading: Index
    writing: Index
    position: Position
    replayed: int  # records
    rebuilt: str | None  # why the index was made anew
    cut: str | None  # what was cut off the log


def recover(host: Host, layout: Layout, store: str, calendar: Calendar) -> Recovered:
    """Bring the index up to the end of the log, rebuilding it when it does not fit.

    Raises LookupLogDamageError when the log is damaged where it was durable.
    """
    end, cut = find_end(layout, store)
    remove_behind(host, layout, end)
    rebuilt = None
    try:
        writing = Index.open(layout)
        position = writing.position()
        if position.seq > end.seq or not lookup_log.holds(layout, position):
            writing.close()
            raise IndexDamageError(f"{layout.index} does not fit the lookup log")
    except IndexDamageError as error:
        rebuilt = str(error) if end != START else None  # a new store has had none
        writing = Index.create(layout.index)
    except sqlite3.Error as error:
        rebuilt = f"{layout.index}: {error}"
        writing = Index.create(layout.index)
    writer = IndexWriter(writing, calendar)
    reading = Index.open_read_only(layout, cache=6 << 20)
    tree = Tree(reading, calendar)
    start = reading.position()
    replay(layout, store, tree, writer, start, end)
    return Recovered(tree, writer, reading, writing, end, end.seq - start.seq, rebuilt, cut)


def replay(
    layout: Layout, store: str, tree: Tree, writer: IndexWriter, start: Position, end: Position
) -> None:
    """Apply the log from ``start`` to ``end`` to the tree, and to the index batch by batch.

    Raises LookupLogDamageError.
    """
    changes = Changes(tree)
    reader = LookupReader(layout, store, start)
    for record, position in reader:
        if position.seq > end.seq:
            break
        try:
            changes.apply(record)
        except (KeyError, ValueError) as error:
            raise LookupLogDamageError(
                f"record {record.seq} of the lookup log does not fit what is before it: {error!r}; "
                "run djafs validate -v"
            ) from error
        if len(tree.batch) >= BATCH or tree.batch.sealed:
            writer.apply(tree.freeze(position))
            tree.thaw()
    if reader.damage is not None and reader.position.seq < end.seq:
        raise LookupLogDamageError(f"{reader.damage}; run djafs validate -v")
    if len(tree.batch):
        writer.apply(tree.freeze(end))
        tree.thaw()
    writer.checkpoint()


def find_end(layout: Layout, store: str) -> tuple[Position, str | None]:
    """Return where the log ends, and what lies behind it that was never durable.

    Reads the log from a place before the last mark of a sync. Raises LookupLogDamageError when
    a line is wrong that a later mark calls durable.
    """
    reader = LookupReader(layout, store, _start_of_tail(layout))
    writes: list[tuple[Position, Write]] = []
    before = reader.position
    for record, position in reader:
        if isinstance(record, Sync):
            writes = [entry for entry in writes if entry[1].seq > record.upto]
        elif isinstance(record, Write):
            writes.append((before, record))
        before = position
    end, cut = reader.position, None
    if reader.damage is not None:
        if lookup_log.syncs_after(layout, end):
            raise LookupLogDamageError(f"{reader.damage}; run djafs validate -v")
        cut = str(reader.damage)
    hot = HotReader(layout)
    for position, write in writes:
        crcs = pack_checksums(write.crc)
        try:
            hot.read(write.seg, write.at, write.len, write.at, write.len, crcs)
        except HotLogDamageError as error:
            end, cut = position, str(error)
            break
    hot.close()
    return end, cut


def _start_of_tail(layout: Layout) -> Position:
    # The marks are a second apart: the last segment but one has some.
    numbers = lookup_log.segment_numbers(layout)
    for number in numbers[-2:]:
        try:
            return lookup_log.segment_start(layout, number)
        except LookupLogDamageError:
            continue
    return START


def remove_behind(host: Host, layout: Layout, end: Position) -> None:
    """Remove what lies behind the end of the log, so that it is never taken for more of it."""
    for number in lookup_log.segment_numbers(layout):
        if number > end.segment:
            host.unlink(lookup_log.segment_path(layout, number), "recovery.unlink")
    path = layout.lookup_segment(end.segment)
    if end.segment and os.path.exists(path) and os.path.getsize(path) > end.offset:
        descriptor = host.open(path, os.O_WRONLY, "recovery.open")
        try:
            host.truncate(descriptor, end.offset, "recovery.cut")
            host.sync(descriptor, "recovery.sync")
        finally:
            host.close(descriptor)
