"""The store: one object that recovers it, changes it, reads it, and closes it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

from djafs import __version__
from djafs.disk import records, sqlite
from djafs.disk.archive_reader import Archives
from djafs.disk.frame_cache import FrameCache
from djafs.disk.host import Host
from djafs.disk.hot_log import HotLog, HotReader, checksums
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import START, Position
from djafs.disk.lookup_log import LookupLog
from djafs.disk.records import text_of
from djafs.extents import Extent
from djafs.model import LIVE_ROOT, Calendar, Dentry, Inode
from djafs.store.content import ContentReader
from djafs.store.opening import Taken, take
from djafs.store.reads import Reads
from djafs.store.recorder import Recorder
from djafs.store.replaying import apply_log
from djafs.store.snapshots import Snapshots
from djafs.store.space import RECORD, Space
from djafs.store.syncer import Syncer

_log = logging.getLogger("djafs.store")


class Store:
    """An open store, held by this process alone.

    Every method that reads or changes the tree is called with :attr:`guard` held, except where
    it says otherwise. Changes are logged before they are applied, and raise OSError, leaving
    everything as it was, when they cannot be logged.
    """

    def __init__(
        self,
        host: Host,
        layout: Layout,
        taken: Taken,
        clock: Callable[[], int],
        frame_cache: int,
    ) -> None:
        self.host, self.layout, self.clock = host, layout, clock
        self.identity, self.lock, self.recovered = identity, _, recovered = taken
        self.guard = threading.Lock()
        self.calendar = Calendar(identity.zone())
        self.tree = recovered.tree
        self.space = Space(host, layout)
        self.hot = HotLog(
            host, layout, self.tree.last_segment, max(self.space.margin // 2, 1 << 20)
        )
        self.log = LookupLog(host, layout, identity.id, recovered.position)
        self.content = ContentReader(
            self.tree, HotReader(layout), Archives(layout, FrameCache(frame_cache))
        )
        # Snapshots are asked from several threads, over a connection of their own.
        self._past = Index.open_read_only(layout)
        self.snapshot_calendar = Calendar(identity.zone())
        self.snapshots = Snapshots(self._past, self.snapshot_calendar)
        self.syncer = Syncer(
            host, self.guard, self.hot, self.log, self.tree, recovered.writer, clock,
            self.space.release,
        )  # fmt: skip
        self.reads = Reads(self.guard, self.tree, self.content, self.snapshots, self.syncer)
        self._index_has_failed = False
        self._recorder = Recorder(self.log, self.tree, self.space, self.syncer)

    @classmethod
    def open(
        cls,
        root: str,
        *,
        create: bool = False,
        time_zone: str = "UTC",
        host: Host | None = None,
        clock: Callable[[], int] = time.time_ns,
        frame_cache: int = 12 << 20,
        parity: int | None = None,
    ) -> Store:
        """Take a store, creating it if it is new and ``create`` is set, and recover it.

        ``frame_cache`` is the memory for inflated frames in bytes, ``parity`` the percentage of
        recovery data that archives get from now on (0 for none, None as it was). Raises
        NotAStoreError, NewerFormatError, LockedError, LookupLogDamageError, OSError.
        """
        host = host or Host()
        layout = Layout(os.path.abspath(root))
        taken = take(host, layout, create=create, time_zone=time_zone, parity=parity)
        try:
            store = cls(host, layout, taken, clock, frame_cache)
        except BaseException:
            taken.lock.release()
            raise
        with contextlib.ExitStack() as stack:
            stack.callback(store._let_go)
            with store.guard:
                store._begin()
            if taken.recovered.position == START:
                # Before anything can be packed: archives without a log are taken for damage.
                store.syncer.make_durable(store.log.seq)
            stack.pop_all()
        return store

    def _begin(self) -> None:
        self._recorder.record(records.Mount(0, self.clock(), version=__version__))
        if self.tree.inode(LIVE_ROOT) is None:
            self._recorder.record(
                records.Create(
                    0, self.clock(), 0, "", LIVE_ROOT, 0o040755, os.getuid(), os.getgid()
                )
            )

    def close(self) -> None:
        """Make everything durable and let the store go. Called without the guard."""
        self.lock.say("closing")
        with contextlib.ExitStack() as stack:
            stack.callback(self._let_go)
            try:
                self.syncer.flush()
                self.recovered.writer.finish()
            except sqlite.Error as error:  # all is in the log; the next mount brings it up to date
                _log.warning("%s: the index cannot be written: %s", self.layout.root, error)
            self.hot.close()
            self.log.close()

    def check_open_segments(self) -> None:
        """Take no more changes if somebody has removed or cut what they are written to."""
        with self.guard:
            problem = self.hot.check() or self.log.check()
        if problem:
            self.syncer.refuse_changes(
                f"{problem}: run djafs validate -v; "
                "the store is read-only until it is mounted again"
            )

    def index_failed(self, error: Exception) -> None:
        """Take no more changes until the index was made anew: it is damaged.

        A repair does that (:mod:`djafs.store.index_renewal`), and so does the next mount.

        What is in memory goes on being served, and so does what other pages of the index hold.
        """
        what = (
            f"{self.layout.index} is damaged ({error}): djafs validate -r makes it anew, and so "
            "does the next mount; the store is read-only until then"
        )
        if self.syncer.refuse_changes(what):
            self._index_has_failed = True
            with contextlib.suppress(OSError):
                self.host.rename(self.layout.index, self.layout.old_index, "index.rename")

    def turn_to_new_index(self, upto: Position, *others: Index) -> IndexWriter:
        """Go on with an index that has just got its name, and goes up to ``upto`` in the log.

        Under the guard. What was logged since is applied to memory anew. ``others`` are further
        connections to reopen. Raises DjafsError, sqlite.Error, and the store then cannot go on.
        """
        tree, writing = self.tree, self.recovered.writing
        for index in (writing, self.recovered.reading, *others):
            index.reopen(self.layout)
        self.snapshots.reopen(self.layout)
        open_still = tree.orphans
        tree.begin_again()
        for _ in apply_log(self.layout, self.identity.id, tree, upto, self.log.position):
            pass
        for ino in tree.orphans - open_still:
            tree.free(ino)  # that was not logged
        writer = IndexWriter(writing, self.calendar)
        self.recovered = self.recovered._replace(writer=writer)
        if self._index_has_failed:
            self._index_has_failed = False
            self.syncer.allow_changes()
        return writer

    def _let_go(self) -> None:
        """Close what is open and needs no order, and unlock the store."""
        self.content.archives.close()
        self.content.hot.close()
        for index in (self._past, self.recovered.reading, self.recovered.writing):
            index.close()
        self.lock.release()

    def record(self, record: records.Record) -> None:
        """Log a change and apply it; its ``seq`` is filled in here.

        Raises OSError if it cannot be logged.
        """
        self._recorder.record(record)

    def record_all(self, run: Sequence[records.Record]) -> None:
        """Log and apply many changes, of which a crash may keep the first ones only."""
        self._recorder.record_all(run)

    # Reading

    def inode(self, ino: int) -> Inode | None:
        """Return an inode of the live tree; it must not be changed."""
        return self.tree.inode(ino)

    def dentry(self, parent: int, name: bytes) -> Dentry | None:
        """Return what a name of the live tree is."""
        return self.tree.dentry(parent, name)

    def extents(self, ino: int, part: int) -> list[Extent]:
        """Return the extents of one part of a live file; they must not be changed."""
        if part == 0:
            inode = self.tree.inode(ino)
            return inode.extents if inode else []
        found = self.tree.part(ino, part)
        return found.extents if found else []

    def stored(self, inode: Inode) -> int:
        """Return how many bytes of a file in several parts are no hole."""
        return self.content.stored(inode)

    def seek(self, inode: Inode, offset: int, *, data: bool) -> int | None:
        """Return where the next data (or hole) of a file from ``offset`` on begins, if any."""
        return self.content.seek(inode, offset, data=data)

    # Changing

    def create(
        self,
        parent: int,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        rdev: int = 0,
        target: bytes | None = None,
    ) -> Inode:
        """Make an inode with its first name and return it; ``mode`` carries the type.

        An empty ``name`` makes a file without one (O_TMPFILE).
        """
        self.space.take(RECORD)
        ino = self.tree.next_ino
        self._recorder.record(
            records.Create(
                0,
                self.clock(),
                parent,
                text_of(name),
                ino,
                mode,
                uid,
                gid,
                rdev,
                None if target is None else text_of(target),
            )
        )
        inode = self.tree.inode(ino)
        assert inode is not None
        return inode

    def write(
        self, ino: int, offset: int, data: bytes | memoryview, mode: int | None = None
    ) -> None:
        """Write ``data`` (at least one byte) at ``offset``; ``mode`` if that changes with it."""
        if self.tree.inode(ino) is None:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        if self.syncer.hindered:
            self.syncer.admit()
        self.space.take(RECORD + len(data))
        crcs = checksums(data)
        segment, at = self.hot.append(data)
        self._recorder.record(
            records.Write(0, self.clock(), ino, offset, len(data), segment, at, crcs, mode)
        )

    def setattr(
        self,
        ino: int,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        size: int | None = None,
        atime: int | None = None,
        mtime: int | None = None,
        now: int | None = None,
    ) -> None:
        """Set attributes. A time equal to ``now`` (the recorded time) means "now"."""
        t = self.clock() if now is None else now
        self._recorder.record(records.Setattr(0, t, ino, mode, uid, gid, size, atime, mtime))

    def punch(self, ino: int, offset: int, length: int, size: int) -> None:
        """Make a hole, and set the size."""
        self._recorder.record(records.Punch(0, self.clock(), ino, offset, length, size))

    def clone(self, source: int, offset: int, ino: int, to: int, length: int) -> None:
        """Let a range of ``ino`` hold what a range of ``source`` holds, without copying it."""
        self.space.take(RECORD)
        self._recorder.record(records.Clone(0, self.clock(), ino, to, source, offset, length))

    def set_xattr(self, ino: int, name: bytes, value: bytes | None) -> None:
        """Set an extended attribute, or remove it when ``value`` is None."""
        if value is not None:
            self.space.take(RECORD + 2 * len(value))
        self._recorder.record(records.Setxattr(0, self.clock(), ino, text_of(name), value))

    def link(self, ino: int, parent: int, name: bytes) -> None:
        """Give an inode a further name."""
        self.space.take(RECORD)
        self._recorder.record(records.Link(0, self.clock(), ino, parent, text_of(name)))

    def unlink(self, parent: int, name: bytes) -> None:
        """Remove a name that is there."""
        self._recorder.record(records.Unlink(0, self.clock(), parent, text_of(name)))

    def rmdir(self, parent: int, name: bytes) -> None:
        """Remove the name of an empty directory."""
        self._recorder.record(records.Rmdir(0, self.clock(), parent, text_of(name)))

    def rename(
        self, parent: int, name: bytes, heir: int, target: bytes, *, exchange: bool = False
    ) -> None:
        """Give ``name`` in ``parent`` to ``heir`` as ``target``, replacing what is there."""
        self._recorder.record(
            records.Rename(0, self.clock(), parent, text_of(name), heir, text_of(target), exchange)
        )

    def free(self, ino: int) -> None:
        """Let an inode go that has no name, now that nobody holds it open."""
        self.tree.free(ino)
