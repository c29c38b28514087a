"""Damaged archives and hot segments: what is whole in them, what is found elsewhere, what is lost.

The result is a list of steps (djafs.store.repairing) and drafts beside them; nothing in use is
changed here. An archive that can be had again bit for bit takes its own place. Of another one
what is whole, and what was found elsewhere, goes to a new archive.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from glob import escape, glob

from djafs.disk import tar
from djafs.disk.archive_reader import Archives
from djafs.disk.frame_cache import FrameCache
from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout, numbers
from djafs.disk.lost import NOWHERE, sum_in
from djafs.errors import DamageError
from djafs.packing.members import Held, held_in, moving_items
from djafs.packing.plan import PackItem, member_name
from djafs.packing.survey import Reached, survey
from djafs.store.aside import Aside
from djafs.store.repairing import AnyStep, Discard, Keep, Place, Rehouse, Retire
from djafs.tools.repair.holders import Holder, holders, paths_of
from djafs.tools.repair.rewriting import Rewriting
from djafs.tools.repair.sources import Reader, Search, Wanted, places_below, read_with_sum
from djafs.tools.validate import Check

Say = Callable[[str], None]

_BAD = "SELECT cid FROM bad_content WHERE archive = ?"
_CHUNKS = (
    "SELECT b.segment, b.start, b.length, c.crc FROM bad_chunk b JOIN chunk c"
    " USING (segment, start, length) ORDER BY b.segment, b.start"
)


@dataclass
class Chunk:
    """Bytes of the hot cache that are damaged, and who has them."""

    segment: int
    start: int
    length: int
    crc: int
    users: set[tuple[int, int]] = field(default_factory=set)
    places: list[tuple[int, int]] = field(default_factory=list)  # inode, offset in the file


@dataclass
class Loose:
    """A lost content of which only the CRC-32 is known."""

    cid: int
    size: int
    crc: int
    places: list[tuple[int, int]] = field(default_factory=list)  # inode, offset in the file


class ContentRepair:
    """Decides what becomes of damaged content; :attr:`steps` are what is to be done."""

    def __init__(
        self,
        host: Host,
        layout: Layout,
        aside: Aside,
        check: Check,
        store: str,
        sources: list[str],
        say: Say,
    ) -> None:
        self.steps: list[AnyStep] = []
        self._host, self._layout, self._aside = host, layout, aside
        self._index: Index = check.log.basis.index
        self._scratch = check.workspace.scratch
        self._store, self._sources, self._say = store, sources, say
        self._archives = Archives(layout, FrameCache(10 << 20))
        self._bad: dict[int, set[int]] = {}  # contents by archive that cannot be read there
        self._found: dict[bytes, Reader] = {}
        self._paths: dict[int, tuple[int, list[bytes]]] = {}  # of contents: part, paths
        self._loose: dict[int, Loose] = {}
        self._reached = Reached()

    def run(self, damaged: list[int]) -> None:
        """Repair the content of damaged archives, of the hot cache, and what was lost before."""
        for archive in [*damaged, NOWHERE]:
            self._bad[archive] = {cid for (cid,) in self._scratch.execute(_BAD, (archive,))}
        chunks = [Chunk(*row) for row in self._scratch.execute(_CHUNKS)]
        if not any(self._bad.values()) and not chunks and not damaged:
            return
        self._reached = survey(self._index.connection)
        self._look_up(chunks)
        self._search(damaged)
        for archive in damaged:
            self._rewrite(archive)
        self._restore(chunks)
        self._archives.close()

    # What is needed, and where it was

    def _lost(self) -> Iterator[tuple[int, Held]]:
        """Yield (archive, content) of what cannot be read and something refers to."""
        for archive, bad in self._bad.items():
            for held in held_in(self._index, archive) if bad else ():
                if held.cid in bad and held.cid in self._reached:
                    yield archive, held

    def _look_up(self, chunks: list[Chunk]) -> None:
        """Find the files that have what is damaged."""
        wanted = {held.cid for _, held in self._lost()}
        for archive, held in self._lost():
            crc = sum_in(held.digest)
            if archive == NOWHERE and crc is not None:
                self._loose[held.cid] = Loose(held.cid, held.size, crc)
        by_segment = defaultdict(list)
        for chunk in chunks:
            by_segment[chunk.segment].append(chunk)
        for holder in holders(self._index):
            if holder.extent.segment:
                _note_users(holder, by_segment.get(holder.extent.segment, []))
            elif holder.extent.base in wanted:
                self._note_content(holder)

    def _note_content(self, holder: Holder) -> None:
        cid = holder.extent.base
        if cid not in self._paths:
            self._paths[cid] = holder.part, paths_of(self._index, holder.ino)
        loose = self._loose.get(cid)
        if loose and (holder.extent.at, holder.extent.length) == (0, loose.size):
            loose.places.append((holder.ino, holder.offset))

    # Where it is now

    def _search(self, damaged: list[int]) -> None:
        wanted = [
            Wanted(held.digest, held.size, *self._paths.get(held.cid, (0, [])))
            for _, held in self._lost()
            if held.cid not in self._loose and self._twin(held) is None
        ]
        search = Search(wanted)
        search.in_archives(self._other_archives(damaged))
        search.in_hot(self._layout, self._store)
        for directory in self._sources:
            search.in_directory(directory)
        for digest, (read, place) in search.found.items():
            self._found[digest] = read
            self._say(f"found {digest.hex()[:16]}… in {place}")

    def _other_archives(self, damaged: list[int]) -> Iterator[str]:
        """Yield damaged archives, those that the log does not know, and what is set aside."""
        known = {n for (n,) in self._index.connection.execute("SELECT archive FROM archive")}
        for number in numbers(self._layout.archives, "tar.zst"):
            if number in damaged or number not in known:
                yield self._layout.archive(number)
        yield from sorted(glob(escape(self._layout.damaged) + "/*/archives/*.tar.zst"))

    def _twin(self, held: Held) -> tuple[int, int] | None:
        """Return (archive, at) where the store has the same content, whole."""
        for cid, (_, archive, at, _) in self._index.contents_with(held.digest):
            if cid not in self._bad.get(archive, ()) and archive not in self._bad:
                return archive, at
        return None

    def _file_with(self, places: list[tuple[int, int]], length: int, crc: int) -> Reader | None:
        """Look for bytes by the paths of their files in the directories that were given."""
        for ino, offset in places:
            for path in paths_of(self._index, ino):
                for directory in self._sources:
                    for candidate in places_below(directory, path):
                        read = read_with_sum(candidate, offset, length, crc)
                        if read is not None:
                            self._say(f"found bytes of live/{_text(path)} in {candidate}")
                            return read
        return None

    # What becomes of it

    def _rewrite(self, archive: int) -> None:
        """Move what a damaged archive has, or what was found of it elsewhere, to a new one."""
        held = held_in(self._index, archive)
        if not held and not os.path.lexists(self._layout.archive(archive)):
            self.steps.append(Retire(archive))
            return
        writing = Rewriting(self._host, self._layout, self._aside, f"{archive:08d}", archive)
        known = {content.cid: content for content in held}
        items = moving_items(self._archives, [(archive, held)], self._reached.__contains__)
        steps: list[AnyStep] = [
            self._placed(archive, known[item.key], item, writing) for item in items
        ]
        steps += [Discard(cid, archive) for cid in known if cid not in self._reached]
        self._finish(writing, steps)
        self.steps.append(Retire(archive))
        lost = sum(isinstance(step, Place) and step.archive == NOWHERE for step in steps)
        saved = sum(isinstance(step, Place) for step in steps) - lost
        self._say(f"archive {archive}: {saved:,} contents are whole again, {lost:,} are lost")

    def _placed(self, archive: int, held: Held, item: PackItem, writing: Rewriting) -> Place:
        """Put a content into the new archive; return where it is then."""
        where = partial(Place, held.cid, archive, held.at, held.size)
        is_bad = held.cid in self._bad[archive]
        if is_bad and (twin := self._twin(held)) is not None:
            return where(*twin)
        piece = partial(self._archives.read, archive, held.at, held.size)
        read = self._found.get(held.digest) if is_bad else piece
        if read is None:
            return where(NOWHERE, 0)
        with suppress(OSError, DamageError):
            data = read()
            if hashlib.sha256(data).digest() == held.digest:
                at = writing.add(self._entry(item, held), data, held.digest)
                return where(None, at)
        return where(NOWHERE, 0)

    def _entry(self, item: PackItem, held: Held) -> tar.Entry:
        """Return the header of a member, by the path of a file if its own is damaged."""
        name = item.name
        part, paths = self._paths.get(held.cid, (0, []))
        if name.startswith(b".djafs/content/") and paths:
            name = member_name(paths[0], part, part + 1)
        return tar.Entry(name, held.size, item.mtime_ns, item.mode, item.uid, item.gid)

    def _restore(self, chunks: list[Chunk]) -> None:
        """Bring back what was lost before, and hot bytes; both go to one new archive."""
        writing = Rewriting(self._host, self._layout, self._aside, "restored", NOWHERE)
        steps: list[AnyStep] = []
        for held in held_in(self._index, NOWHERE):
            if held.cid not in self._reached:
                steps.append(Discard(held.cid, NOWHERE))
            elif (place := self._restored(held, writing)) is not None:
                steps.append(place)
        steps += [self._rehoused(chunk, writing) for chunk in chunks]
        for segment in sorted({chunk.segment for chunk in chunks}):
            path = os.path.relpath(self._layout.hot_segment(segment), self._layout.root)
            self.steps.append(Keep(path))
        self._finish(writing, steps)
        back = sum(isinstance(step, Place) for step in steps)
        if back:
            self._say(f"{back:,} contents that were lost are back")
        if chunks:
            saved = sum(isinstance(step, Rehouse) and step.at is not None for step in steps)
            lost = len(chunks) - saved
            self._say(f"hot cache: {saved:,} damaged pieces are whole again, {lost:,} are lost")

    def _restored(self, held: Held, writing: Rewriting) -> Place | None:
        where = partial(Place, held.cid, NOWHERE, held.at, held.size)
        loose = self._loose.get(held.cid)
        if loose is None and (twin := self._twin(held)) is not None:
            return where(*twin)
        if loose is None:
            read = self._found.get(held.digest)
        else:
            read = self._file_with(loose.places, loose.size, loose.crc)
        if read is None:
            return None
        with suppress(OSError):
            data = read()
            digest = hashlib.sha256(data).digest()
            if digest == held.digest or (loose and len(data) == held.size):
                part, paths = self._paths.get(held.cid, (0, []))
                name = b".djafs/restored/%d" % held.cid
                if paths and not loose:
                    name = member_name(paths[0], part, part + 1)
                at = writing.add(tar.Entry(name, held.size, 0, 0o600, 0, 0), data, digest)
                return where(None, at, digest.hex() if loose else None)
        return None

    def _rehoused(self, chunk: Chunk, writing: Rewriting) -> Rehouse:
        users = sorted(chunk.users)
        read = self._file_with(chunk.places, chunk.length, chunk.crc)
        where = partial(Rehouse, chunk.segment, chunk.start, chunk.length, chunk.crc, users)
        if read is not None:
            with suppress(OSError):
                data = read()
                if len(data) == chunk.length:
                    name = b".djafs/hot/%d/%d" % (chunk.segment, chunk.start)
                    digest = hashlib.sha256(data).digest()
                    entry = tar.Entry(name, chunk.length, 0, 0o600, 0, 0)
                    return where(writing.add(entry, data, digest), digest.hex())
        return where()

    def _finish(self, writing: Rewriting, steps: Iterable[AnyStep]) -> None:
        """End a new archive, and put its steps behind it."""
        published = writing.finish()
        if published is not None:
            self.steps.append(published)
        self.steps += steps


def _note_users(holder: Holder, chunks: list[Chunk]) -> None:
    extent = holder.extent
    for chunk in chunks:
        begin, end = chunk.start, chunk.start + chunk.length
        if extent.at < end and extent.at + extent.length > begin:
            chunk.users.add((holder.ino, holder.part))
            if extent.at <= begin and end <= extent.at + extent.length:
                chunk.places.append((holder.ino, holder.offset + begin - extent.at))


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
