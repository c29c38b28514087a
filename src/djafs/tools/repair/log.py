"""A lookup log that is damaged begins anew, with a checkpoint of all that is known.

What is known is what the check made of the log (djafs.tools.validation.log_check): the store's
index, where lines are lost that it had been told, and everything that could be read behind them.
The old segments and checkpoints are kept aside. Order of steps: docs/ordering.md, "Repair".
"""

from __future__ import annotations

import os
import time

from djafs.disk import checkpoint, records
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import INDEX_SUFFIXES, Layout
from djafs.disk.log_closing import drop_from_memory, write_compressed
from djafs.disk.lookup_line import Position, seal
from djafs.disk.lookup_segments import segment_numbers
from djafs.store.aside import Aside, write_durably


def begin_anew(host: Host, layout: Layout, aside: Aside, store: str, known: Index) -> None:
    """Replace the whole log by a checkpoint of ``known`` and a segment behind it.

    ``known`` may be written to: it gets the position of the new log. The store's index, which
    does not fit that, is kept aside too. Raises OSError, LookupLogDamageError.
    """
    old = _files_of(layout)
    taken = [*segment_numbers(layout), *checkpoint.checkpoint_numbers(layout)]
    position = known.position()
    number = max([*taken, position.segment], default=0) + 1
    start = Position(number, 0, position.seq, position.chain)
    _set_position(known, start)
    aside.keep(*old, *(layout.index + suffix for suffix in INDEX_SUFFIXES))
    path = layout.checkpoint(number)
    draft = path + ".tmp"
    lines = checkpoint.checkpoint_lines(known.connection, store)
    write_compressed(host, draft, lines, "repair")
    drop_from_memory(draft)
    checkpoint.compare(draft, store, known)
    segment = layout.lookup_segment(number + 1)
    write_durably(host, segment + ".tmp", _first_lines(store, start))
    # The segment first: what ends here is refused by a mount, as one before it is missing.
    for source, target in ((segment + ".tmp", segment), (draft, path)):
        host.rename(source, target, "repair.rename")
        host.sync_directory(layout.lookups, "repair.sync-directory")
    aside.remove(*old)


def _files_of(layout: Layout) -> list[str]:
    paths = [layout.checkpoint(number) for number in checkpoint.checkpoint_numbers(layout)]
    for number in segment_numbers(layout):
        paths += [layout.lookup_segment(number), layout.closed_lookup_segment(number)]
    return [path for path in paths if os.path.lexists(path)]


def _set_position(index: Index, position: Position) -> None:
    index.connection.execute("BEGIN")
    for key, value in position._asdict().items():
        index.connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))
    index.connection.execute("COMMIT")


def _first_lines(store: str, start: Position) -> bytes:
    """Return the first line of a segment, and a mark: all before it is durable."""
    t, seq = time.time_ns(), start.seq + 1
    number, chain = start.segment + 1, start.chain
    first = records.Segment(seq, t, format=1, store=store, number=number, chain=chain)
    line, chain = seal(records.encode(first), chain)
    mark, _ = seal(records.encode(records.Sync(seq + 1, t, seq)), chain)
    return line + mark
