"""From what lies on disk to a tree that is up to date: at every mount, after any ending.

docs/ordering.md says which endings there are and why each is harmless.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from djafs.disk import lookup_reader, lookup_segments, sqlite
from djafs.disk.checkpoint import checkpoint_numbers
from djafs.disk.host import Host
from djafs.disk.hot_log import HotReader, pack_checksums
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import INDEX_SUFFIXES, Layout, numbers
from djafs.disk.lookup_line import START, Position
from djafs.disk.lookup_reader import LookupReader
from djafs.disk.records import Sync, Write
from djafs.errors import HotLogDamageError, IndexDamageError, LookupLogDamageError
from djafs.model import LIVE_ROOT, Calendar
from djafs.store.checkpoints import load_newest, remove_checkpoint_index
from djafs.store.index_draft import remove_draft
from djafs.store.plausible import check_run
from djafs.store.replaying import replay
from djafs.store.space import FULL, Space
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
    tail = read_tail(layout, store)
    end = tail.end
    if end == START and (numbers(layout.archives, "tar.zst") or checkpoint_numbers(layout)):
        raise LookupLogDamageError(
            f"{layout.lookups} has no lookup log, but there are archives or checkpoints; "
            "run djafs validate -v"
        )
    index, rebuilt = _open_index(layout, end)
    try:
        remove_behind(host, layout, end)
        remove_checkpoint_index(host, layout)
        remove_draft(host, layout)
        settle(host, layout, tail)
        Space(host, layout).provide()  # that may have taken the last of it, on such a disk
    except BaseException:
        if index is not None:
            # On a full disk that copies on write, SQLite would be killed for writing (SIGBUS).
            sqlite.leave_as_it_is(index.connection)
            index.close()
        raise
    if index is not None:
        try:
            return _follow(layout, store, calendar, index, tail, None)
        except (sqlite.Error, LookupLogDamageError) as error:
            if sqlite.is_full(error):
                raise
            rebuilt = f"{layout.index}: {error}"
    return _make_index(host, layout, store, calendar, tail, rebuilt)


def _make_index(
    host: Host, layout: Layout, store: str, calendar: Calendar, tail: Tail, why: str
) -> Recovered:
    """Make the index anew, from the newest checkpoint and the log behind it.

    The old one is kept until there is another: where the log is damaged, it may know more.
    """
    # A write-ahead log of the old index that came back would be taken for one of the new.
    if os.path.lexists(layout.index):
        set_aside(host, layout)
    try:
        index = Index.create(layout.index)
        if load_newest(layout, store, index).position.seq > tail.end.seq:
            raise LookupLogDamageError(f"{layout.lookups} ends before its last checkpoint")
        rebuilt = None if tail.end == START else why
        found = _follow(layout, store, calendar, index, tail, rebuilt)
    except LookupLogDamageError:
        if os.path.lexists(layout.old_index):
            _rename_index(host, layout.old_index, layout.index)
        raise
    for suffix in INDEX_SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            host.unlink(layout.old_index + suffix, "recovery.unlink-index")
    return found


def set_aside(host: Host, layout: Layout) -> None:
    """Take the index away, so that another one is made."""
    _rename_index(host, layout.index, layout.old_index)
    host.sync_directory(layout.root, "recovery.sync-directory")


def _rename_index(host: Host, source: str, target: str) -> None:
    for suffix in INDEX_SUFFIXES:
        if os.path.lexists(source + suffix):
            host.rename(source + suffix, target + suffix, "recovery.rename-index")
        elif os.path.lexists(target + suffix):
            host.unlink(target + suffix, "recovery.unlink-index")


def _open_index(layout: Layout, end: Position) -> tuple[Index | None, str]:
    """Open the index, or say why it has to be made anew.

    Raises LookupLogDamageError when it has changes that are not in the log: it follows what is
    durable, and no ending takes that from the log.
    """
    for suffix in INDEX_SUFFIXES:
        path = layout.index + suffix
        if os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
            return None, f"{path} is no file"
    try:
        bare = Index.bare_state(layout)
        index = Index.open(layout)
    except IndexDamageError as error:
        return None, str(error)
    try:
        position = index.position()
        if position.seq > end.seq:
            raise LookupLogDamageError(
                f"{layout.lookups} ends at record {end.seq}, and the index has record "
                f"{position.seq}: run djafs validate -v; without {layout.index}, the store opens "
                "as the log says"
            )
        # Without all of its write-ahead log the file may be some pages ahead of the others.
        if bare.get("seq", 0) > position.seq or (bare.get("open") and not index.holds_log()):
            problem = "has lost a part of its write-ahead log"
        elif not lookup_reader.holds(layout, position):
            problem = "does not fit the lookup log"
        else:
            return index, ""
    except sqlite.Error as error:
        problem = f"is damaged: {error}"
    except LookupLogDamageError:
        index.close()
        raise
    index.close()
    return None, f"{layout.index} {problem}"


def _follow(
    layout: Layout, store: str, calendar: Calendar, writing: Index, tail: Tail, rebuilt: str | None
) -> Recovered:
    """Bring an index up to the end of the log; it is closed if that fails."""
    reading = Index.open_read_only(layout, cache=4 << 20)
    try:
        writer = IndexWriter(writing, calendar)
        tree = Tree(reading, calendar)
        start = reading.position()
        replay(layout, store, tree, writer, start, tail.end)
        # What the first record will need: if it is damaged, the index can still be made anew.
        for ino in (LIVE_ROOT, *tree.orphans):
            tree.inode(ino)
    except BaseException:
        reading.close()
        writing.close()
        raise
    replayed = tail.end.seq - start.seq
    return Recovered(tree, writer, reading, writing, tail.end, replayed, rebuilt, tail.cut)


class Tail(NamedTuple):
    """The part of the log that no durable mark covers."""

    end: Position
    cut: str | None  # what lies behind the end, and was never durable
    since: Position  # behind this, lines may never have been synced
    writes: list[Write]  # and what these refer to


def find_end(layout: Layout, store: str) -> tuple[Position, str | None]:
    """Return where the log ends, and what lies behind it (raises LookupLogDamageError)."""
    tail = read_tail(layout, store)
    return tail.end, tail.cut


def read_tail(layout: Layout, store: str) -> Tail:
    """Read the log from a place before all that was written since the last durable mark.

    It ends at the first line that is not whole, or whose content is not. Raises
    LookupLogDamageError when a later mark calls such a line durable.
    """
    reader = LookupReader(layout, store, _start_of_tail(layout))
    writes: list[tuple[Position, Write]] = []
    before = since = mark = reader.position
    for record, position in reader:
        if isinstance(record, Sync):
            writes = [entry for entry in writes if entry[1].seq > record.upto]
            # A sync begins after the one before it was marked, and so covers that mark.
            since, mark = mark, position
        elif isinstance(record, Write):
            writes.append((before, record))
        before = position
    end, cut = reader.position, None
    if reader.damage is not None:
        if lookup_reader.syncs_after(layout, end):
            raise LookupLogDamageError(f"{reader.damage}; run djafs validate -v")
        cut = str(reader.damage)
    hot = HotReader(layout)
    whole: list[Write] = []
    for position, write in writes:
        try:
            check_run(write)
            hot.read(write.seg, write.at, write.len, write.at, write.len, pack_checksums(write.crc))
        except (HotLogDamageError, ValueError) as error:
            end, cut = position, str(error)
            break
        whole.append(write)
    hot.close()
    if cut and end.segment and not os.path.exists(layout.lookup_segment(end.segment)):
        _check_closed(layout, store, end, cut)
    return Tail(end, cut, since, whole)


def _check_closed(layout: Layout, store: str, end: Position, cut: str) -> None:
    """Raise LookupLogDamageError if a segment that was closed goes on behind ``end``."""
    reader = LookupReader(layout, store, end)
    behind = next(iter(reader), None)
    inside = behind is not None and behind.position.segment == end.segment
    if inside or (reader.damage and reader.damage.path.endswith(".zst")):
        raise LookupLogDamageError(f"{cut}; run djafs validate -v")


def _start_of_tail(layout: Layout) -> Position:
    """Return a place before which every line is covered by a mark, close behind the last such."""
    earliest, durable = START, 0
    for number in reversed(lookup_segments.segment_numbers(layout)):
        with contextlib.suppress(LookupLogDamageError):
            durable = max(durable, lookup_reader.last_mark(layout, number))
            earliest = lookup_reader.segment_start(layout, number)
            if earliest.seq < durable:
                return lookup_reader.place_behind(layout, number, durable) or earliest
    return earliest


def settle(host: Host, layout: Layout, tail: Tail) -> None:
    """Make durable what the last daemon has written and may not have synced.

    It is written once more where it is: if a sync has failed, the kernel has what was written in
    memory, but does not try again to bring it to the disk. Raises OSError.
    """
    if tail.since == tail.end:
        return
    _rewrite_hot(host, layout, tail.writes)
    for number in lookup_segments.segment_numbers(layout):
        path = layout.lookup_segment(number)
        if tail.since.segment <= number <= tail.end.segment and os.path.exists(path):
            begin = tail.since.offset if number == tail.since.segment else 0
            _rewrite(host, path, [(begin, os.path.getsize(path) - begin)])
    host.sync_directory(layout.lookups, "recovery.sync-directory")


def _rewrite_hot(host: Host, layout: Layout, writes: list[Write]) -> None:
    segments: dict[int, list[tuple[int, int]]] = {}
    for write in writes:
        segments.setdefault(write.seg, []).append((write.at, write.len))
    for segment, runs in segments.items():
        _rewrite(host, layout.hot_segment(segment), runs)
    if segments:
        host.sync_directory(layout.hot, "recovery.sync-directory")


def _rewrite(host: Host, path: str, runs: list[tuple[int, int]]) -> None:
    descriptor = host.open(path, os.O_RDWR, "recovery.open")
    try:
        for at, length in runs:
            for begin in range(at, at + length, 1 << 20):
                data = os.pread(descriptor, min(1 << 20, at + length - begin), begin)
                try:
                    host.pwrite(descriptor, data, begin, "recovery.rewrite")
                except OSError as error:  # a full disk that copies on write
                    if error.errno not in FULL or not _is_on_disk(host, descriptor, data, begin):
                        raise
        host.sync(descriptor, "recovery.sync")
    finally:
        host.close(descriptor)


def _is_on_disk(host: Host, descriptor: int, data: bytes, at: int) -> bool:
    """Sync a file, and return whether the disk itself has ``data`` at ``at`` (raises OSError)."""
    host.sync(descriptor, "recovery.sync")
    os.posix_fadvise(descriptor, at, len(data), os.POSIX_FADV_DONTNEED)  # not from memory
    return os.pread(descriptor, len(data), at) == data


def remove_behind(host: Host, layout: Layout, end: Position) -> None:
    """Remove what lies behind the end of the log, so that it is never taken for more of it.

    Raises LookupLogDamageError when the end lies inside a segment that was closed, and durable.
    """
    behind = [n for n in lookup_segments.segment_numbers(layout) if n > end.segment]
    for number in reversed(behind):
        host.unlink(lookup_segments.segment_path(layout, number), "recovery.unlink")
    if behind:
        host.sync_directory(layout.lookups, "recovery.sync-directory")
    path = layout.lookup_segment(end.segment)
    if end.segment and os.path.exists(path) and os.path.getsize(path) > end.offset:
        descriptor = host.open(path, os.O_WRONLY, "recovery.open")
        try:
            host.truncate(descriptor, end.offset, "recovery.cut")
            host.sync(descriptor, "recovery.sync")
        finally:
            host.close(descriptor)
