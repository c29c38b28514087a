"""Files of archives that the log does not know, or not any more: removed at a mount.

Two of the steps of packing and compaction can leave some behind (docs/ordering.md): an archive
that got its name and was not logged yet, which has the next number; and one that the log has
dropped, and that was not removed yet. The log says so of every file that is removed here, and
the last two segments of it are asked: a mount follows such an ending at once. Recovery data without
an archive goes as well, if the log does not know the archive. Anything else is left to be looked
at (djafs validate). So is all of it where hot content is missing: a log that has lost its end does
not know the archive that took it.
"""

from __future__ import annotations

import contextlib
import os
import re

from djafs.disk import lookup_line, lookup_segments
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout, numbers

_DROP = re.compile(rb'\{"op":"drop",.*"arc":(\d+)')
_RECENT = 2


def remove_leftovers(host: Host, layout: Layout, index: Index) -> None:
    """Remove what a crash has left in ``archives/``; ``index`` is up to date with the log."""
    present = {*numbers(layout.archives, "tar.zst"), *numbers(layout.archives, "djfm")}
    orphaned = set(numbers(layout.archives, "tar.zst.par2")) - present
    present |= orphaned
    unknown = present.difference(index.archives())
    if not unknown:
        return
    needed = index.smallest_hot_segment()
    if needed and not os.path.exists(layout.hot_segment(needed)):
        return
    following = index.state().get("archive", 1)
    for number in sorted(unknown & (_dropped(layout) | {following})):
        for path in layout.archive_files(number):
            try:
                host.unlink(path, "recovery.unlink-archive")
            except FileNotFoundError:
                continue
    for number in sorted(unknown & orphaned):
        with contextlib.suppress(FileNotFoundError):
            host.unlink(layout.archive_parity(number), "recovery.unlink-parity")
    host.sync_directory(layout.archives, "recovery.sync-directory")


def _dropped(layout: Layout) -> set[int]:
    """Return the archives that the last segments of the log drop."""
    found: set[int] = set()
    for number in lookup_segments.segment_numbers(layout)[-_RECENT:]:
        with lookup_segments.open_segment(layout, number) as lines:
            while line := lines.readline(lookup_line.LINE):
                match = _DROP.match(line)
                if match:
                    found.add(int(match[1]))
    return found
