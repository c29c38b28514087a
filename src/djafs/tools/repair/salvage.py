"""Following a log of which lines are lost: what is behind them is kept as far as it can be.

Records behind a gap speak of files and directories whose beginnings were in it. These get a name in
``live/lost+found``, as fsck(8) gives them one; what even so does not fit is left out and counted.
Contents that have no file any more are in the archives under the names of their files, and become
files again (:meth:`Salvage.adopt`).
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from djafs.disk import records
from djafs.disk.archive_reader import Archives
from djafs.disk.archive_scan import ArchiveScan
from djafs.disk.frame_cache import FrameCache
from djafs.disk.index import Index
from djafs.disk.layout import Layout, numbers
from djafs.disk.lookup_line import Position
from djafs.disk.lookup_reader import Line
from djafs.disk.lost import NOWHERE
from djafs.disk.records import bytes_of, text_of
from djafs.errors import ArchiveDamageError
from djafs.extents import PART
from djafs.model import LIVE_ROOT, Calendar
from djafs.packing.members import held_in, moving_items
from djafs.packing.plan import PackItem, member_name
from djafs.packing.survey import survey
from djafs.store.plausible import NAME_MAX
from djafs.tools.validation.log_lines import Gap
from djafs.tools.validation.rebuild import Rebuild

LOST_FOUND = b"lost+found"

_FILE = stat.S_IFREG | 0o600
_DIRECTORY = stat.S_IFDIR | 0o700
_PART = re.compile(rb"(.*)\.part-(\d{5})", re.DOTALL)
_HISTORY = b".djafs/"
"""Where archives have members that no live name belonged to."""


class Salvage(Rebuild):
    """Follows the log, and goes on behind what is lost."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        super().__init__(index, calendar)
        self.lost: list[Gap] = []
        self.fresh = self._tree.next_content  # contents from here on may have lost their files
        self.restored: list[str] = []  # paths in live/ that were made up
        self._spare = count(1)

    @property
    def last_segment(self) -> int:
        """The last hot segment that any record speaks of."""
        return self._tree.last_segment

    def passes(self, gap: Gap) -> bool:
        """Go on behind any gap; note it if something was in it."""
        if not super().passes(gap):
            if not self.lost:
                self.fresh = self._tree.next_content
            self.lost.append(gap)
            self._spare = count(self.position.seq + 1)
        return True

    def apply(self, line: Line) -> None:
        """Apply a line; behind a gap, make what it takes for granted if it is not there."""
        if self.lost:
            self._mend(line.record, line.record.t)
        super().apply(line)

    def add(self, record: records.Record) -> None:
        """Apply a record that is in no log."""
        position = self.position
        self._changes.apply(record)
        self.position = Position(*position[:2], record.seq, position.chain)

    # What a record takes for granted

    def _mend(self, record: Any, t: int) -> None:  # noqa: ANN401 (records have no common fields)
        if isinstance(record, records.Create | records.File):
            self._need_directory(record.dir, t)
            if record.name and self._tree.dentry(record.dir, bytes_of(record.name)) is not None:
                record.replace = True  # what took the name away is lost
        elif isinstance(record, records.Link):
            self._need_directory(record.dir, t)
            self._need_file(record.ino, t)
        elif isinstance(record, records.Write | records.Punch | records.Pack):
            self._need_file(record.ino, t)
        elif isinstance(record, records.Clone):
            self._need_file(record.src, t)
            self._need_file(record.ino, t)
        elif isinstance(record, records.Setattr):
            of_directory = record.mode is not None and stat.S_ISDIR(record.mode)
            (self._need_directory if of_directory else self._need_file)(record.ino, t)
        elif isinstance(record, records.Rename):
            self._need_directory(record.to, t)

    def _need_file(self, ino: int, t: int) -> None:
        if ino > LIVE_ROOT and self._tree.inode(ino) is None:
            self._make(ino, _FILE, t)

    def _need_directory(self, ino: int, t: int) -> None:
        if self._tree.inode(ino) is None:
            self._make(ino, _DIRECTORY, t)

    def _make(self, ino: int, mode: int, t: int) -> None:
        """Enter an inode whose beginning is lost."""
        if ino == LIVE_ROOT:
            self._enter(0, b"", ino, stat.S_IFDIR | 0o755, t)
            return
        if self._tree.inode(LIVE_ROOT) is None:
            self._make(LIVE_ROOT, 0, t)
        name = b"inode-%d" % ino
        self._enter(self._lost_found(t, ino), name, ino, mode, t)
        self.restored.append(f"live/lost+found/inode-{ino}")

    def _lost_found(self, t: int, above: int = 0) -> int:
        there = self._tree.dentry(LIVE_ROOT, LOST_FOUND)
        if there is not None:
            return there.ino
        # Numbers of inodes behind the gap may not have been seen yet.
        ino = max(self._tree.next_ino, above) + (1 << 20)
        self._enter(LIVE_ROOT, LOST_FOUND, ino, _DIRECTORY, t)
        return ino

    def _enter(self, parent: int, name: bytes, ino: int, mode: int, t: int) -> None:
        # With the number of a record that is lost: what it makes in a directory is in order.
        seq = next(self._spare)
        self._changes.apply(records.Create(seq, t, parent, text_of(name), ino, mode, 0, 0))

    # Contents that have no file any more

    def restore(self, items: list[PackItem], t: int) -> None:
        """Make a file again of its parts in an archive.

        It gets its name, unless a file has that which is not older.
        """
        first = items[0]
        match = _PART.fullmatch(first.name) if len(items) > 1 else None
        place = self._place(match[1] if match else first.name, first.mtime_ns, t)
        parent, name = place or (self._lost_found(t), b"content-%d" % first.key)
        cids = [item.key for item in items]
        single = len(cids) == 1
        self.add(
            records.File(
                self.position.seq + 1, t, parent, text_of(name), self._tree.next_ino,
                stat.S_IFREG | first.mode, first.uid, first.gid, sum(item.size for item in items),
                first.mtime_ns, cid=cids[0] if single else 0, parts=None if single else cids,
                replace=True,
            )
        )  # fmt: skip
        shown = first.name if place else LOST_FOUND + b"/" + name
        self.restored.append("live/" + shown.decode("utf-8", "backslashreplace"))

    def _place(self, path: bytes, mtime: int, t: int) -> tuple[int, bytes] | None:
        """Return directory and name for a path, None if it is taken."""
        *above, name = path.split(b"/")
        if any(part in (b"", b".", b"..") or len(part) > NAME_MAX for part in (*above, name)):
            return None
        if self._tree.inode(LIVE_ROOT) is None:
            self._make(LIVE_ROOT, 0, t)
        parent = LIVE_ROOT
        for part in above:
            there = self._tree.dentry(parent, part)
            if there is None:
                ino = self._tree.next_ino
                seq, mode = self.position.seq + 1, stat.S_IFDIR | 0o755
                self.add(records.Create(seq, t, parent, text_of(part), ino, mode, 0, 0))
                parent = ino
                continue
            inode = self._tree.inode(there.ino)
            if inode is None or not inode.is_directory:
                return None
            parent = there.ino
        there = self._tree.dentry(parent, name)
        inode = self._tree.inode(there.ino) if there is not None else None
        is_older = inode is None or (inode.is_regular and inode.mtime // 10**9 < mtime // 10**9)
        return (parent, name) if is_older else None

    def adopt(self, layout: Layout) -> None:
        """Take what archives hold and the log has lost: contents, and the files they were of."""
        t = time.time_ns()
        if self._tree.inode(LIVE_ROOT) is None:
            self._make(LIVE_ROOT, 0, t)
        self.settle()
        for number in numbers(layout.archives, "tar.zst"):
            self._adopt_archive(layout.archive(number), number, t)
        self.settle()
        reached = survey(self.index.connection)
        archives = Archives(layout, FrameCache(10 << 20))
        for number in self.index.archives():
            held = [each for each in held_in(self.index, number) if each.cid >= self.fresh]
            if number == NOWHERE or not held:
                continue
            items = moving_items(archives, [(number, held)], lambda cid: cid not in reached)
            for file in _files(item for item in items if not item.name.startswith(_HISTORY)):
                self.restore(file, t)
        archives.close()
        self.settle()

    def _adopt_archive(self, path: str, number: int, t: int) -> None:
        db = self.index.connection
        row = db.execute("SELECT members FROM archive WHERE archive = ?", (number,)).fetchone()
        known = {held.at for held in held_in(self.index, number)}
        if row is not None and row[0] <= len(known):
            return
        found, members = [], 0
        problems: list[ArchiveDamageError] = []
        for member in ArchiveScan(path, problems.append):
            members += 1
            if self.index.find_content(member.digest) is None:
                found.append(member)
        if not found and not problems:  # compaction was about to remove it
            return
        if row is None:
            size = os.path.getsize(path)
            self.add(records.Archive(self.position.seq + 1, t, number, members, size))
        for member in found:
            cid, digest = self._tree.next_content, member.digest.hex()
            seq = self.position.seq + 1
            self.add(records.Content(seq, t, cid, digest, number, member.at, member.size))


def _files(items: Iterable[PackItem]) -> Iterator[list[PackItem]]:
    """Join the parts of large files, which follow one another."""
    run: list[PackItem] = []
    for item in items:
        match = _PART.fullmatch(item.name)
        number = int(match[2]) if match else 0
        follows = match and run and item.name == member_name(_base(run[0].name), number, 2)
        if follows and number == len(run) and run[-1].size == PART:
            run.append(item)
            continue
        if run:
            yield run
        run = [item]
    if run:
        yield run


def _base(name: bytes) -> bytes:
    match = _PART.fullmatch(name)
    return match[1] if match else name
