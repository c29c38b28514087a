"""Packing, the daemon's side: plan, have it packed, commit, and let the hot content go.

docs/ordering.md says why stopping between any two steps loses nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from itertools import islice

from djafs.disk import archive_metadata
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.records import Archive, Content, Pack
from djafs.packing.packer import Packer
from djafs.packing.plan import PackedItem, PackPlan
from djafs.packing.planner import Chosen, Planner
from djafs.store.store import Store

SLICE = 128
"""Records that a commit logs before it lets the answering thread go on."""

_log = logging.getLogger("djafs.packing")


@dataclass
class Collected:
    """What a collection did."""

    archives: int = 0
    files: int = 0
    duplicates: int = 0
    failed: int = 0
    unsettled: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0


class Collector:
    """Packs a store's hot content. One collection at a time; any thread may ask for one."""

    def __init__(self, store: Store, packer: Packer, level: int) -> None:
        self._store = store
        self._packer = packer
        self._level = level
        self._turn = threading.Lock()
        self._index = Index.open_read_only(store.layout)
        self._planner = Planner(self._index)
        self._skip: set[tuple[int, int]] = set()

    def close(self) -> None:
        """Stop a collection that is under way, and wait for its end."""
        self._packer.kill()
        with self._turn:
            self._index.close()

    def collect(self, settled: float) -> Collected:
        """Pack all that has not changed for ``settled`` seconds; return what was done.

        Raises PackingError, ReadOnlyStoreError, OSError.
        """
        done = Collected()
        began = time.monotonic()
        cutoff = self._store.clock() - int(settled * 1e9)
        with self._turn:
            while self._collect_once(cutoff, done):
                pass
            self._store.syncer.flush()
            done.unsettled = self._planner.unsettled(cutoff)
        done.seconds = time.monotonic() - began
        return done

    def _collect_once(self, cutoff: int, done: Collected) -> bool:
        """Make one archive; return whether there may be more to pack."""
        store = self._store
        with store.guard:
            store.hot.roll()
        store.syncer.flush()
        items, chosen = self._planner.plan(cutoff, self._skip)
        if not items:
            self._drop_segments()
            return False
        with store.guard:
            number = store.tree.next_archive
        result = self._packer.run(PackPlan(number, items, self._level))
        if result.metadata is not None:
            publish(store.host, store.layout, result.metadata)
            done.archives += 1
            done.bytes_out += result.metadata.compressed_bytes
        for failed in result.failed:
            self._skip.add(chosen[failed.key][:2])
            _log.error("not packed: %s", failed.message)
        done.failed += len(result.failed)
        self._commit(number, result.metadata, result.items, chosen, done)
        store.syncer.flush()
        self._drop_segments()
        return True

    def _commit(
        self,
        number: int,
        metadata: ArchiveMetadata | None,
        items: list[PackedItem],
        chosen: dict[int, Chosen],
        done: Collected,
    ) -> None:
        store = self._store
        contents: dict[int, int] = {}
        waiting = iter(items)
        first = True
        while part := list(islice(waiting, SLICE)):
            with store.guard:
                if first and metadata is not None:
                    store.record(
                        Archive(
                            0, store.clock(), number, metadata.members, metadata.compressed_bytes
                        )
                    )
                first = False
                for item in part:
                    self._commit_item(number, item, chosen[item.key], contents)
                    done.files += 1
                    done.duplicates += item.at is None
                    done.bytes_in += item.size

    def _commit_item(
        self, number: int, item: PackedItem, what: Chosen, contents: dict[int, int]
    ) -> None:
        store = self._store
        t = store.clock()
        if item.content is not None:
            cid = item.content
        elif item.same_as is not None:
            cid = contents[item.same_as]
        else:
            assert item.at is not None
            cid = contents[item.key] = store.tree.next_content
            store.record(Content(0, t, cid, item.digest.hex(), number, item.at, item.size))
        source = None
        if what.past or store.extents(what.ino, what.part) != what.extents:
            source = [(e.offset, e.segment, e.at, e.length) for e in what.extents if e.segment]
        store.record(Pack(0, t, what.ino, cid, what.part, source))

    def _drop_segments(self) -> None:
        """Remove hot segments that nothing needs any more."""
        store = self._store
        # The mark that calls the commit durable must be durable itself: without it, recovery
        # would look for the content of these writes in the hot log.
        store.log.sync()
        with store.guard:
            needed = self._index.smallest_hot_segment()
            below = 1 << 62 if needed is None else needed
            below = min(below, store.tree.batch.floor_segment)
            freed = store.hot.drop_below(below)
        if freed:
            store.content.hot.forget_below(below)


def publish(host: Host, layout: Layout, metadata: ArchiveMetadata) -> None:
    """Give a finished archive, which is durable already, its name."""
    path = layout.archive_metadata(metadata.archive)
    descriptor = host.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "djfm.create")
    try:
        host.pwrite(descriptor, archive_metadata.encode(metadata), 0, "djfm.write")
        host.sync(descriptor, "djfm.sync")
    finally:
        host.close(descriptor)
    host.rename(path + ".tmp", path, "djfm.rename")
    draft = layout.archive_draft(metadata.archive)
    host.rename(draft, layout.archive(metadata.archive), "archive.rename")
    host.sync_directory(layout.archives, "archive.sync-directory")
