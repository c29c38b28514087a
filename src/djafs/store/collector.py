"""Packing, the daemon's side: plan, have it packed, commit, and let the hot content go.

docs/ordering.md says why stopping between any two steps loses nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.index import Index
from djafs.disk.records import Archive, Content, Pack
from djafs.errors import PackingError
from djafs.packing.compaction import Limits
from djafs.packing.packer import Packer, PackingCancelledError
from djafs.packing.plan import PackedItem, PackPlan
from djafs.packing.planner import MOST_BYTES, Chosen, Planner
from djafs.store.aside import Aside
from djafs.store.compactor import SLICE, SURVEY, Compactor
from djafs.store.index_renewal import renew
from djafs.store.publishing import publish
from djafs.store.space import FULL
from djafs.store.store import Store

LEAST_BYTES = 1 << 20
"""Bytes of content in one archive while the disk is full, but for the last item."""

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
    compacted: int = 0
    """Archives that were merged or written anew, and are gone."""
    forgotten: int = 0
    """Contents in them that no snapshot could reach."""
    reclaimed: int = 0
    """Bytes that archives are smaller by compaction."""
    protected: int = 0
    """Archives that got recovery data."""
    parity_bytes: int = 0
    """Bytes of it."""
    unprotected: int = 0
    """Archives for which it could not be made."""
    seconds: float = 0.0

    def joined(self, other: Collected) -> Collected:
        """Return what was done here and there together."""
        return Collected(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )


class Collector:
    """Packs a store's hot content. One collection at a time; any thread may ask for one."""

    def __init__(
        self,
        store: Store,
        packer: Packer,
        level: int,
        limits: Limits | None = None,
        survey: int = SURVEY,
    ) -> None:
        """Pack at compression ``level``; ``limits`` and ``survey`` say when to compact."""
        self._store = store
        self._packer = packer
        self._level = level
        self._turn = threading.Lock()
        self._index = Index.open_read_only(store.layout)
        self._planner = Planner(self._index)
        self._compactor = Compactor(store, packer, level, self._index, limits, survey)
        self._skip: set[tuple[int, int]] = set()
        self._most = MOST_BYTES  # bytes of content in the next archive

    def close(self) -> None:
        """Stop a collection that is under way, and wait for its end."""
        self._packer.kill()
        with self._turn:
            self._index.close()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Keep everything from being packed meanwhile; what could not be is tried again later."""
        with self._turn:
            yield
            self._skip.clear()

    def make_index_anew(self, aside: Aside) -> None:
        """Let an index that is made from the log take the place of the one in use, while paused.

        Raises PackingError, DjafsError, OSError, sqlite.Error.
        """
        renew(self._store, self._packer, aside, self._index)

    def collect(self, settled: float, patience: float = 0) -> Collected:
        """Pack all that has not changed for ``settled`` seconds, and compact what is due.

        Small changes of large archived contents stay hot for ``patience`` seconds more.
        Return what was done. Raises PackingError, ReadOnlyStoreError, OSError.
        """
        done = Collected()
        began = time.monotonic()
        cutoff = self._store.clock() - int(settled * 1e9)
        with self._turn:
            while self._collect_once(cutoff, int(patience * 1e9), done):
                pass
            self._most = MOST_BYTES
            self._store.syncer.flush()
            done.unsettled = self._planner.unsettled(cutoff)
            try:
                self._compact(done, force=False)
            except PackingCancelledError:
                raise
            except PackingError as error:  # what was packed is packed
                _log.error("not compacted: %s", error)
        done.seconds = time.monotonic() - began
        return done

    def compact(self) -> Collected:
        """Let everything go that no snapshot can reach, and leave as few archives as possible.

        Raises PackingError, ReadOnlyStoreError, OSError.
        """
        done = Collected()
        began = time.monotonic()
        with self._turn:
            self._compact(done, force=True)
        done.seconds = time.monotonic() - began
        return done

    def _compact(self, done: Collected, *, force: bool) -> None:
        compacted = self._compactor.compact(force=force)
        done.compacted += compacted.compacted
        done.forgotten += compacted.forgotten
        done.reclaimed += compacted.reclaimed

    def _collect_once(self, cutoff: int, patience: int, done: Collected) -> bool:
        """Make one archive; return whether there may be more to pack."""
        store = self._store
        with store.guard:
            store.hot.roll()
        store.syncer.flush()
        items, chosen = self._planner.plan(cutoff, self._skip, self._most, patience)
        if not items:
            self._drop_segments()
            return False
        with store.guard:
            number = store.tree.next_archive
        try:
            result = self._packer.run(PackPlan(number, items, self._level))
        except PackingError as error:
            if error.errno not in FULL or not self._retry_smaller(error.errno):
                raise
            return True
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

    def _retry_smaller(self, cause: int) -> bool:
        """Let the disk, which is full, have smaller archives; return whether that is worth it."""
        released = self._store.space.release(cause)
        if self._most <= LEAST_BYTES:
            return released
        self._most = max(self._most // 8, LEAST_BYTES)
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
            if store.syncer.hindered:
                store.syncer.flush()

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
        if not store.syncer.confirm():
            return
        with store.guard:
            needed = self._index.smallest_hot_segment()
            below = 1 << 62 if needed is None else needed
            # What was written meanwhile is not in the index yet.
            for batch in (store.tree.batch, store.tree.frozen):
                if batch is not None:
                    below = min(below, batch.floor_segment)
            freed = store.hot.drop_below(below)
        if freed:
            store.content.hot.forget_below(below)
