"""What a conversion would do, and come to: nothing is changed, and little of the source read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import zstandard

from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import Layout
from djafs.disk.seek_table import FRAME
from djafs.disk.tar import Entry, header, padded
from djafs.errors import LockedError, UsageError
from djafs.model import LIVE_ROOT, Calendar, Inode
from djafs.store.identity import read_identity
from djafs.store.recovery import find_end
from djafs.store.replaying import replay
from djafs.store.tree import Tree
from djafs.tools.convert.links import Known, Links
from djafs.tools.convert.options import Options
from djafs.tools.convert.reading import SourceError, Xattrs, describe, open_file
from djafs.tools.convert.run import Tick, check
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.target import Target
from djafs.tools.convert.walk import StoppedError, Walk
from djafs.tools.convert.wanted import Place, Wanted
from djafs.tools.validation.workspace import Workspace, is_mounted

SAMPLE = 32 << 20
"""Bytes of content that are read, and compressed, for an estimate."""

_NOT_YET = -1  # the number of an inode that does not exist yet

LOG_LINE = 75
"""Bytes that the lookup log takes for each file, compressed."""


def estimate(options: Options, tick: Tick) -> Summary:
    """Walk the source and compare it with the store; raises as ``convert`` does."""
    check(options)
    summary = Summary()
    with _present(Layout(os.path.abspath(options.output))) as tree:
        root = _root(tree, options.prefix)
        links = Links()
        tally = Tally(options, links, summary)
        walk = Walk(options, Target(tree, _no_read), tally, links, summary, lambda: tick(summary))
        try:
            walk.run(root)
        except StoppedError:
            summary.interrupted = True
        finally:
            links.close()
    summary.estimate = tally.estimated(_parity(options))
    summary.finish()
    return summary


def _parity(options: Options) -> int:
    """Return the percentage of recovery data that archives would get."""
    layout = Layout(os.path.abspath(options.output))
    if options.parity is not None or not os.path.exists(layout.identity):
        return options.parity or 0
    return read_identity(layout).parity


def _no_read(ino: int, offset: int, size: int) -> bytes:
    raise SourceError("content that is not in an archive yet is not compared in a dry run")


@contextmanager
def _present(layout: Layout) -> Iterator[Tree]:
    """Give the live tree of a store, as its next mount would find it; empty if there is none."""
    if not os.path.exists(layout.identity):
        empty = Index.create(sqlite.MEMORY)
        tree = Tree(empty, Calendar())
        tree.add(Inode(LIVE_ROOT, 0o040755, os.geteuid(), os.getegid(), 0))
        yield tree
        empty.close()
        return
    identity = read_identity(layout)
    if is_mounted(layout):
        raise LockedError(f"{layout.root} is mounted: unmount it first (djafs umount MOUNTPOINT)")
    calendar = Calendar(identity.zone())
    with Workspace(layout) as workspace:
        index = workspace.copy_index()
        tree = Tree(index, calendar)
        end, _ = find_end(layout, identity.id)
        writer = IndexWriter(index, calendar)
        replay(layout, identity.id, tree, writer, index.position(), end)
        yield tree


def _root(tree: Tree, prefix: bytes) -> int:
    ino = LIVE_ROOT
    for name in filter(None, prefix.split(b"/")):
        dentry = tree.dentry(ino, name)
        if dentry is None:
            root = Inode(tree.next_ino, 0o040755, os.geteuid(), os.getegid(), 0)
            tree.add(root)
            return root.ino
        ino = dentry.ino
    inode = tree.inode(ino)
    if inode is None or not inode.is_directory:
        raise UsageError(f"{os.fsdecode(prefix)} is not a directory in the store")
    return ino


class Tally:
    """A carrier that only counts, and compresses a sample."""

    def __init__(self, options: Options, links: Links, summary: Summary) -> None:
        self._options, self._links, self._summary = options, links, summary
        self._zstd = zstandard.ZstdCompressor(level=options.level)
        self._samples: list[tuple[int, int]] = []  # bytes of content, compressed
        self._sampled = 0
        self._stride = 1  # of so many batches one is sampled
        self._batches = 0
        self._content = 0

    def directory(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        xattrs: Xattrs | None,
        present: Inode | None,
    ) -> int:
        """Count nothing: the walk counts directories."""
        return present.ino if present else 0

    def bring(self, place: Place, wanted: list[Wanted]) -> None:
        """Count files, and compress one batch of several."""
        self._batches += 1
        sampled = self._batches % self._stride == 0
        frame: list[bytes] = []
        for name, present in wanted:
            try:
                status = os.lstat(name, dir_fd=place.descriptor)
                if status.st_nlink > 1 and self._is_linked(place, name, status, present):
                    continue
                if sampled and sum(map(len, frame)) < FRAME:
                    frame += _sample(place, name, status)
            except (OSError, SourceError) as error:
                what = describe(error) if isinstance(error, OSError) else str(error)
                self._summary.fail(place.path + name, what)
                continue
            if present is None:
                self._summary.new += 1
            else:
                self._summary.changed += 1
            self._content += status.st_size
            self._summary.bytes_read += status.st_size
        if frame:
            self._compress(b"".join(frame), sum(map(len, frame[1::3])))

    def _is_linked(
        self, place: Place, name: bytes, status: os.stat_result, present: Inode | None
    ) -> bool:
        key = (status.st_dev, status.st_ino)
        known = self._links.get(*key)
        if known is None:
            self._links.put(*key, Known(_NOT_YET, True))
            return False
        self.link(place, name, known, present)
        return True

    def _compress(self, frame: bytes, content: int) -> None:
        self._samples.append((content, len(self._zstd.compress(frame))))
        self._sampled += len(frame)
        if self._sampled > SAMPLE:
            self._stride *= 2
            self._samples = self._samples[1::2]
            self._sampled //= 2

    def other(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        xattrs: Xattrs | None,
        present: Inode | None,
    ) -> int:
        """Count a change."""
        if present is not None:
            self._summary.changed += 1
        return 0

    def link(self, place: Place, name: bytes, known: Known, present: Inode | None) -> None:
        """Count a further name."""
        if present is None or present.ino != known.ino:
            self._summary.links += 1

    def settled(self) -> None:
        """Return: files are counted at once."""

    def touch_up(
        self, inode: Inode, status: os.stat_result, xattrs: Xattrs | None, *, times: bool
    ) -> bool:
        """Return whether any attribute differs."""
        return (
            times
            or inode.mode != status.st_mode
            or (inode.uid, inode.gid) != (status.st_uid, status.st_gid)
            or inode.mtime != status.st_mtime_ns
            or (inode.xattrs or {}) != (xattrs or {})
        )

    def remove(self, directory: int, name: bytes, inode: Inode) -> None:
        """Count a name that would be removed."""
        self._summary.gone += 1

    def estimated(self, parity: int) -> int:
        """Return the bytes that archives, ``parity`` % more, and lookup log would grow by."""
        content = sum(size for size, _ in self._samples)
        packed = sum(size for _, size in self._samples)
        files = self._summary.new + self._summary.changed + self._summary.links
        archives = self._content * packed / content if content else 0
        return round(archives * (1 + parity / 100)) + LOG_LINE * files


def _sample(place: Place, name: bytes, status: os.stat_result) -> list[bytes]:
    """Return a file, or its beginning, as a tar would hold it: header, content, padding."""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return []
    descriptor = open_file(name, place.descriptor)
    try:
        data = os.pread(descriptor, min(status.st_size, FRAME), 0)
    finally:
        os.close(descriptor)
    entry = Entry(place.path + name, len(data), status.st_mtime_ns, status.st_mode, 0, 0)
    return [header(entry), data, bytes(padded(len(data)) - len(data))]
