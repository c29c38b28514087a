"""Checkpoints of a store's log: made from the log alone, and the start of every rebuilding.

A process of its own makes one: ``python -m djafs.store.checkpoints ROOT SEGMENT PARENT``. It
leaves a draft that has been read back; giving it its name, and removing the segments that it
covers, is for the daemon (djafs.store.log_keeper).
"""

from __future__ import annotations

import contextlib
import sys
from typing import NamedTuple

from djafs.disk import checkpoint, lookup_reader, lookup_segments
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import INDEX_SUFFIXES, Layout
from djafs.disk.log_closing import drop_from_memory, write_compressed
from djafs.disk.lookup_line import START, Position
from djafs.errors import LookupLogDamageError
from djafs.model import Calendar
from djafs.packing import child
from djafs.packing.asked import answer
from djafs.store.identity import read_identity
from djafs.store.replaying import replay
from djafs.store.tree import Tree


class Basis(NamedTuple):
    """Where rebuilding begins, and which checkpoints could not be used."""

    position: Position
    damages: list[str]


def load_newest(layout: Layout, store: str, index: Index) -> Basis:
    """Fill an empty index from the newest checkpoint that is whole, if there is one.

    What follows it in the log is then to be replayed.
    """
    damages: list[str] = []
    for number in reversed(checkpoint.checkpoint_numbers(layout)):
        try:
            return Basis(checkpoint.load(layout.checkpoint(number), store, index), damages)
        except LookupLogDamageError as error:
            damages.append(str(error))
            _empty(index)
    return Basis(START, damages)


def rebuild(
    layout: Layout, store: str, calendar: Calendar, path: str, end: Position | None = None
) -> Index:
    """Make an index at ``path`` from what the log and its checkpoints say, up to ``end``.

    Without ``end``, up to the last line that is whole. Nothing in the store is changed. Raises
    LookupLogDamageError.
    """
    index = Index.create(path)
    try:
        for setting in ("journal_mode = MEMORY", "synchronous = OFF"):
            index.connection.execute(f"PRAGMA {setting}").fetchall()
        start = load_newest(layout, store, index).position
        tree, writer = Tree(index, calendar), IndexWriter(index, calendar)
        replay(layout, store, tree, writer, start, end)
    except BaseException:
        index.close()
        raise
    return index


def make(
    layout: Layout, store: str, calendar: Calendar, segment: int, host: Host | None = None
) -> int:
    """Make a draft of the checkpoint up to and with a closed segment; return its rows.

    The draft is durable and has been read back. Raises LookupLogDamageError, OSError,
    sqlite.Error.
    """
    host = host or Host()
    draft = layout.checkpoint(segment) + ".tmp"
    path = layout.checkpoint_index
    end = end_of(layout, segment)
    index = rebuild(layout, store, calendar, path, end)
    try:
        if index.position() != end:
            raise LookupLogDamageError(f"{layout.lookups} does not go up to {end}")
        lines = checkpoint.checkpoint_lines(index.connection, store)
        write_compressed(host, draft, lines, "checkpoint")
        drop_from_memory(draft)
        return checkpoint.compare(draft, store, index)
    finally:
        index.close()
        remove_checkpoint_index(host, layout)


def end_of(layout: Layout, segment: int) -> Position:
    """Return the place behind the last line of a segment that another one follows."""
    following = lookup_reader.segment_start(layout, segment + 1)
    offset = 0
    with lookup_segments.open_segment(layout, segment) as lines:
        while chunk := lines.read(1 << 20):
            offset += len(chunk)
    return Position(segment, offset, following.seq, following.chain)


def remove_checkpoint_index(host: Host, layout: Layout) -> None:
    """Remove the index from which a checkpoint was made, or was going to be."""
    for suffix in INDEX_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            host.unlink(layout.checkpoint_index + suffix, "checkpoint.unlink-index")


def _empty(index: Index) -> None:
    db = index.connection
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        kept = " WHERE key != 'schema'" if name == "state" else ""
        db.execute(f"DELETE FROM {name}{kept}")


def main() -> int:
    """Run as the daemon's child, and write one message to stdout."""
    root, segment = child.begin(2)
    layout = Layout(root)

    def made() -> object:
        identity = read_identity(layout)
        return make(layout, identity.id, Calendar(identity.zone()), int(segment))

    return answer("made", made)


if __name__ == "__main__":
    sys.exit(main())
