"""An index that is made from the log while another one is in use: a draft until that is replaced.

A process of its own does most of it, ``python -m djafs.store.index_draft ROOT PARENT``, beside a
daemon that goes on logging. The daemon brings the draft up to where it wants it, and puts it in
its place (djafs.store.index_renewal).
"""

from __future__ import annotations

import contextlib
import os
import sys

from djafs.disk import lookup_reader, sqlite
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import INDEX_SUFFIXES, Layout
from djafs.disk.lookup_line import Position
from djafs.errors import LookupLogDamageError
from djafs.model import Calendar
from djafs.packing import child
from djafs.packing.asked import answer
from djafs.store.checkpoints import rebuild
from djafs.store.identity import read_identity
from djafs.store.replaying import replay
from djafs.store.tree import Tree

FEW = 2048
"""Records that the daemon itself may have to apply."""

_ROUNDS = 20
"""Times that the log is followed, if programs go on writing as fast as that can be done."""


def make(layout: Layout, store: str, calendar: Calendar, host: Host) -> int:
    """Make a draft that lacks but the last few records of the log; return up to which it goes.

    Raises LookupLogDamageError, OSError, sqlite.Error.
    """
    remove_draft(host, layout)
    index = rebuild(layout, store, calendar, layout.new_index)
    try:
        for _ in range(_ROUNDS):
            before = index.position().seq
            _follow(layout, store, calendar, index, None)
            if index.position().seq - before < FEW:
                break
        reached = index.position().seq
    finally:
        index.close()
    _sync(host, layout)
    return reached


def complete(layout: Layout, store: str, calendar: Calendar, host: Host, upto: Position) -> None:
    """Bring a draft up to ``upto``, and make it durable: nothing is left beside its file.

    Raises LookupLogDamageError, OSError, sqlite.Error.
    """
    index = Index(sqlite.connect(layout.new_index, "rw"))
    try:
        position = index.position()
        # The daemon takes a record back if it turns out not to fit.
        if position.seq > upto.seq or not lookup_reader.holds(layout, position):
            raise LookupLogDamageError(f"{layout.lookups} has changed meanwhile: try again")
        _follow(layout, store, calendar, index, upto)
        IndexWriter(index, calendar).finish()
        if index.position() != upto:
            raise LookupLogDamageError(f"{layout.lookups} does not go up to {upto}")
        index.connection.execute("PRAGMA journal_mode = WAL").fetchall()
    finally:
        index.close()
    _sync(host, layout)


def _follow(
    layout: Layout, store: str, calendar: Calendar, index: Index, end: Position | None
) -> None:
    for setting in ("journal_mode = MEMORY", "synchronous = OFF"):
        index.connection.execute(f"PRAGMA {setting}").fetchall()
    tree, writer = Tree(index, calendar), IndexWriter(index, calendar)
    replay(layout, store, tree, writer, index.position(), end)


def _sync(host: Host, layout: Layout) -> None:
    descriptor = host.open(layout.new_index, os.O_RDWR, "index.open")
    try:
        host.sync(descriptor, "index.sync")
    finally:
        host.close(descriptor)


def remove_draft(host: Host, layout: Layout) -> None:
    """Remove what was made, if it was not used."""
    for suffix in INDEX_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            host.unlink(layout.new_index + suffix, "index.unlink-draft")


def main() -> int:
    """Run as the daemon's child, and write one message to stdout."""
    (root,) = child.begin(1)
    layout = Layout(root)

    def made() -> int:
        identity = read_identity(layout)
        return make(layout, identity.id, Calendar(identity.zone()), Host())

    return answer("made", made)


if __name__ == "__main__":
    sys.exit(main())
