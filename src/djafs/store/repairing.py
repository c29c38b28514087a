"""Committing a repair: what was found and made ready becomes part of the store.

A repair reads, searches and writes drafts in a process of its own (djafs.tools.repair); what it
decided is a list of :data:`Step`. Whoever holds the store carries them out: the daemon, or the
repair itself when the store is not mounted. Each step says what it takes for granted, so that
what has changed meanwhile is left alone.

The order, each of which may be the last before a crash (docs/ordering.md, "Repair"):

1. Damaged originals get a second name in ``damaged/``.
2. Files that are again what they were take the place of damaged ones.
3. New archives get their names. The log says where contents are now, and which are lost.
4. When the log is durable, the mark of that too, and the index has it, damaged archives go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.index import Index
from djafs.disk.lost import NOWHERE, stand_in
from djafs.disk.records import Archive, Content, Drop, Forget, Move, Pack, Record
from djafs.errors import UsageError
from djafs.store.aside import Aside
from djafs.store.compactor import SLICE
from djafs.store.publishing import publish, retire
from djafs.store.store import Store


class Step(msgspec.Struct, tag_field="do", tag=str.lower):
    """One thing to do. Paths are relative to the store."""


class Keep(Step):
    """Give a damaged file that stays in use for now a second name in ``damaged/``."""

    path: str


class Replace(Step):
    """Let a durable draft take the place of a file. ``archive`` is that whose file it is, or 0."""

    path: str
    draft: str
    archive: int = 0


class Publish(Step):
    """Give a new archive its name; following steps mean it where they say ``None``."""

    draft: str
    metadata: ArchiveMetadata


class Place(Step):
    """Content ``cid``, so far at ``old_at`` of archive ``old``, is at ``at`` of ``archive``.

    Archive None is the one that was published last, 0 is nowhere: it is lost. With ``sha256`` its
    digest was not known before.
    """

    cid: int
    old: int
    old_at: int
    size: int
    archive: int | None
    at: int
    sha256: str | None = None


class Rehouse(Step):
    """Hot bytes become a content: ``length`` at ``start`` of a segment, with CRC-32 ``crc``.

    It is at ``at`` of the archive that was published last and has ``sha256``, or both are None
    and it is lost. ``users`` are the (inode, part) that have these bytes in any version.
    """

    segment: int
    start: int
    length: int
    crc: int
    users: list[tuple[int, int]]
    at: int | None = None
    sha256: str | None = None


class Discard(Step):
    """Forget a content of archive ``old`` that nothing refers to."""

    cid: int
    old: int


class Retire(Step):
    """Let a damaged archive go, if nothing is in it any more."""

    archive: int


AnyStep = Keep | Replace | Publish | Place | Rehouse | Discard | Retire

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyStep).decode


def encode(steps: Iterable[AnyStep]) -> bytes:
    """Return steps as lines of JSON."""
    return b"".join(_encode(step) + b"\n" for step in steps)


def decode(content: bytes) -> list[AnyStep]:
    """Return the steps that :func:`encode` wrote (raises UsageError for anything else)."""
    try:
        return [_decode(line) for line in content.splitlines()]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"this is no plan of a repair: {error}") from error


def commit(store: Store, aside: Aside, steps: list[AnyStep]) -> None:
    """Carry out steps. The caller sees to it that nothing is packed meanwhile.

    Raises OSError, ReadOnlyStoreError; what was not done by then is left as it was.
    """
    _Commit(store, aside).run(steps)


class _Commit:
    def __init__(self, store: Store, aside: Aside) -> None:
        self._store = store
        self._aside = aside
        self._archive = NOWHERE  # that was published last

    def run(self, steps: list[AnyStep]) -> None:
        layout = self._store.layout
        retired = [step.archive for step in steps if isinstance(step, Retire)]
        for step in steps:
            if isinstance(step, Keep):
                self._aside.keep(self._path(step.path))
        for archive in retired:
            self._aside.keep(*layout.archive_files(archive))
        for step in steps:
            if isinstance(step, Replace):
                self._aside.replace(self._path(step.draft), self._path(step.path))
                self._store.content.archives.forget(step.archive)
        self._log(step for step in steps if not isinstance(step, Keep | Replace | Retire))
        self._store.syncer.flush()
        gone = [archive for archive in retired if not self._is_used(archive)]
        self._record(Drop(0, self._store.clock(), archive) for archive in gone)
        retire(self._store, gone)

    def _path(self, relative: str) -> str:
        path = os.path.normpath(os.path.join(self._store.layout.root, relative))
        if not path.startswith(self._store.layout.root + os.sep):
            raise UsageError(f"{relative} is not in the store")
        return path

    def _log(self, steps: Iterable[AnyStep]) -> None:
        """Log steps, each run of them in slices, so that others are answered meanwhile."""
        run: list[AnyStep] = []
        for step in steps:
            if isinstance(step, Publish):
                self._record(self._records(run))
                run = []
                self._publish(step)
            else:
                run.append(step)
        self._record(self._records(run))

    def _record(self, waiting: Iterable[Record]) -> None:
        store, waiting = self._store, iter(waiting)
        while True:
            with store.guard:
                some = 0
                for record in islice(waiting, SLICE):
                    store.record(record)
                    some += 1
            if not some:
                return
            if store.syncer.hindered:
                store.syncer.flush()

    def _publish(self, step: Publish) -> None:
        store, draft = self._store, self._path(step.draft)
        if self._archive != NOWHERE:
            store.syncer.flush()  # a crash leaves one archive at most that the log does not know
        with store.guard:
            number = store.tree.next_archive
        metadata = msgspec.structs.replace(step.metadata, archive=number)
        store.host.link(draft, store.layout.archive_draft(number), "repair.link")
        publish(store.host, store.layout, metadata)
        store.host.unlink(draft, "repair.unlink")
        self._archive = number
        size = metadata.compressed_bytes
        self._record([Archive(0, store.clock(), number, metadata.members, size)])

    def _records(self, steps: list[AnyStep]) -> Iterator[Record]:
        """Yield what the log is to say; asked for one by one, under the guard."""
        for step in steps:
            if isinstance(step, Place):
                yield from self._place(step)
            elif isinstance(step, Rehouse):
                yield from self._rehouse(step)
            elif isinstance(step, Discard):
                known = self._store.tree.content(step.cid)
                if known is not None and known.archive == step.old:
                    yield Forget(0, self._store.clock(), step.cid)

    def _place(self, step: Place) -> Iterator[Record]:
        known = self._store.tree.content(step.cid)
        if known is None or (known.archive, known.at) != (step.old, step.old_at):
            return  # compaction has moved it, or let it go
        t, archive = self._store.clock(), self._archive if step.archive is None else step.archive
        if step.sha256 is not None:
            yield Content(0, t, step.cid, step.sha256, archive, step.at, step.size)
        else:
            yield Move(0, t, step.cid, archive, step.at)

    def _rehouse(self, step: Rehouse) -> Iterator[Record]:
        t, cid = self._store.clock(), self._store.tree.next_content
        if step.sha256 is None or step.at is None:
            digest = stand_in(step.crc, cid).hex()
            yield Content(0, t, cid, digest, NOWHERE, 0, step.length)
        else:
            yield Content(0, t, cid, step.sha256, self._archive, step.at, step.length)
        source = [(0, step.segment, step.start, step.length)]
        for ino, part in step.users:
            yield Pack(0, t, ino, cid, part, source, cut=True)

    def _is_used(self, archive: int) -> bool:
        index = Index.open_read_only(self._store.layout)
        try:
            return index.is_used(archive)
        finally:
            index.close()
