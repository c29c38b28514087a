"""Compaction: few archives, and none that is mostly out of reach (docs/architecture.md).

The order of steps, each of which may be the last before a crash (docs/ordering.md):

1. History that no snapshot shows is let go (Sweep), and what is left is surveyed for the contents
   that it refers to. Both only once the store has changed enough to be worth it.
2. The packer writes the contents of some archives, in order of their names, into a new one and
   reads it back; every content is compared with its SHA-256. The new archive gets its name.
3. The log says where each content is now (Move), which are let go (Forget), and that the old
   archives hold nothing any more (Drop).
4. When the log is durable, the mark of that too, and the index has it, the old files are removed.

A file that a crash leaves behind, of an archive that the log does not know yet or any more, goes
at the next mount (:mod:`djafs.store.leftovers`). Reads that were on their way into an archive
that is gone ask again where the content is (Store.read).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

from djafs.disk import sqlite
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.archive_reader import Archives
from djafs.disk.frame_cache import FrameCache
from djafs.disk.index import Index
from djafs.disk.records import Archive, Drop, Forget, Move, Record, Sweep
from djafs.packing.compaction import ArchiveUse, Group, Limits, plan
from djafs.packing.members import Held, Source, held_in, moving_items
from djafs.packing.packer import Packer
from djafs.packing.plan import PackPlan, PackResult
from djafs.packing.survey import Reached
from djafs.store.publishing import publish, retire
from djafs.store.store import Store

SLICE = 16
"""Records that a commit logs before it lets the answering thread go on: about 0.3 ms."""

SWEEP = 20_000
"""Rows of history that one Sweep looks at, about: the index is written in one transaction."""

SURVEY = 10_000
"""Changes after which archives are surveyed again, at least; half the contents in any case."""

_log = logging.getLogger("djafs.packing")


@dataclass
class Compacted:
    """What a compaction did."""

    compacted: int = 0  # archives that were merged or written anew, and are gone
    forgotten: int = 0  # contents in them that nothing could reach
    reclaimed: int = 0  # bytes of archives less


class Compactor:
    """Compacts a store. The caller sees to it that nothing is packed meanwhile."""

    def __init__(
        self,
        store: Store,
        packer: Packer,
        level: int,
        index: Index,
        limits: Limits | None = None,
        survey: int = SURVEY,
    ) -> None:
        self._store, self._packer, self._level = store, packer, level
        self._index = index
        self._limits = limits or Limits()
        self._survey_after = survey
        self._known: dict[int, tuple[int, int]] = {}  # archive: contents, bytes; until one moves
        self._damaged: set[int] = set()

    @property
    def _db(self) -> sqlite.Connection:
        return self._index.connection

    def compact(self, *, force: bool = False) -> Compacted:
        """Do what is due; with ``force`` all that makes archives fewer or smaller.

        Raises PackingError, ReadOnlyStoreError, OSError.
        """
        done = Compacted()
        reached = self._survey() if force or self._is_survey_due() else None
        while True:
            groups = plan(self._uses(reached), self._limits, force=force)
            for group in groups:
                self._compact(group, reached, done)
            if not groups or force:
                return done

    # What is due

    def _is_survey_due(self) -> bool:
        row = self._db.execute("SELECT value FROM state WHERE key = 'swept'").fetchone()
        (contents,) = self._db.execute("SELECT coalesce(sum(members), 0) FROM archive").fetchone()
        changes = self._store.log.seq - (row[0] if row else 0)
        return bool(contents) and bool(changes >= max(self._survey_after, contents // 2))

    def _survey(self) -> Reached:
        """Let go of history that no snapshot shows, and return what is left needs."""
        store = self._store
        with store.guard:
            cloned = store.tree.cloned = set()
        try:
            for first, last in self._sweeps():
                store.syncer.flush()
                sweep = Sweep(0, store.clock(), first, last)
                store.syncer.flush(partial(store.record, sweep))
            reached = self._packer.survey()
        finally:
            with store.guard:
                store.tree.cloned = None
        for cid in cloned:
            reached.add(cid)
        return reached

    def _sweeps(self) -> Iterator[tuple[int, int]]:
        """Yield (first, last) inodes: in all every inode, each time some rows of history."""
        query = "SELECT ino FROM version WHERE ino > ? ORDER BY ino LIMIT 1 OFFSET ?"
        first = 1
        while row := self._db.execute(query, (first, SWEEP)).fetchone():
            yield first, row[0]
            first = row[0] + 1
        yield first, max(first, self._store.tree.next_ino)

    def _uses(self, reached: Reached | None) -> Iterable[ArchiveUse]:
        query = "SELECT archive, members FROM archive ORDER BY archive"
        for archive, members in self._db.execute(query).fetchall():
            if archive in self._damaged:
                continue
            if reached is not None:
                held = self._index.contents_of(archive)
                size = sum(content.size for _, content in held)
                live = sum(content.size for cid, content in held if cid in reached)
                yield ArchiveUse(archive, members, len(held), size, live)
                continue
            if archive not in self._known:
                held = self._index.contents_of(archive)
                self._known[archive] = (len(held), sum(content.size for _, content in held))
            known, size = self._known[archive]
            yield ArchiveUse(archive, members, known, size, size)

    # Doing it

    def _compact(self, group: Group, reached: Reached | None, done: Compacted) -> None:
        """Make one archive of ``group``, or none if nothing in it is needed."""
        store = self._store
        sources = [(archive, held_in(self._index, archive)) for archive in group]
        held = {content.cid: content for _, contents in sources for content in contents}

        def is_needed(cid: int) -> bool:
            return reached is None or cid in reached

        with store.guard:
            number = store.tree.next_archive
        result = PackResult()
        if any(map(is_needed, held)):
            result = self._merge(number, sources, is_needed)
        if result.metadata is not None:
            publish(store.host, store.layout, result.metadata)
        moved = self._check(result, held)
        kept = {cid for cid in held if is_needed(cid) and cid not in moved}
        gone = self._gone(sources, kept)
        forgotten = [cid for cid in held if not is_needed(cid)]
        self._commit(number, result.metadata, moved, forgotten, gone)
        done.reclaimed += retire(store, gone)
        done.reclaimed -= result.metadata.compressed_bytes if result.metadata else 0
        done.compacted += len(gone)
        done.forgotten += len(forgotten)

    def _merge(
        self, number: int, sources: list[Source], is_needed: Callable[[int], bool]
    ) -> PackResult:
        archives = Archives(self._store.layout, FrameCache(10 << 20), self._limits.most_sources)
        try:
            items = moving_items(archives, sources, is_needed)
            return self._packer.run(PackPlan(number, items, self._level, find_known=False))
        finally:
            archives.close()

    def _check(self, result: PackResult, held: dict[int, Held]) -> dict[int, int]:
        """Return where contents are in the new archive; those that are not what they were stay."""
        for failed in result.failed:
            _log.error("not compacted: %s", failed.message)
        written = {item.key: item.at for item in result.items if item.at is not None}
        places: dict[int, int] = {}
        for item in result.items:
            if item.digest != held[item.key].digest:
                _log.error("not compacted: content %d is not what was written", item.key)
            else:
                places[item.key] = written[item.key if item.same_as is None else item.same_as]
        return places

    def _gone(self, sources: list[Source], kept: set[int]) -> list[int]:
        gone = []
        for archive, contents in sources:
            self._known.pop(archive, None)
            if any(content.cid in kept for content in contents):
                self._damaged.add(archive)
            else:
                gone.append(archive)
        return gone

    def _commit(
        self,
        number: int,
        metadata: ArchiveMetadata | None,
        moved: dict[int, int],
        forgotten: list[int],
        gone: list[int],
    ) -> None:
        store = self._store

        def run() -> Iterator[Record]:
            if metadata is not None:
                yield Archive(0, store.clock(), number, metadata.members, metadata.compressed_bytes)
            for cid, at in moved.items():
                yield Move(0, store.clock(), cid, number, at)
            for cid in forgotten:
                yield Forget(0, store.clock(), cid)
            for archive in gone:
                yield Drop(0, store.clock(), archive)

        waiting = run()
        while part := list(islice(waiting, SLICE)):
            with store.guard:
                store.record_all(part)
            if store.syncer.hindered:
                store.syncer.flush()
