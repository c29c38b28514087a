"""From damaged content to the files, now and on past days, that it belongs to.

One pass over everything in the index that consists of extents. On the way it finds extents that
are malformed, and contents that do not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from djafs.disk import contents, rows, states
from djafs.disk.batch import ContentRow
from djafs.disk.content_writer import contents_in
from djafs.disk.index import Index
from djafs.extents import PART, Extent
from djafs.model import Calendar
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.extent_rules import extents_problem
from djafs.tools.validation.findings import Kind
from djafs.tools.validation.paths import Paths
from djafs.tools.validation.workspace import Workspace

_LIVE = f"SELECT {states.INODE} FROM inode i WHERE nlink != 0"
_PART = (
    "SELECT p.extents, p.ino, p.part, p.version FROM part p JOIN inode i USING (ino)"
    " WHERE i.nlink != 0"
)
_VERSION = "SELECT extents, ino, day FROM version WHERE extents IS NOT NULL"
_PAST_PART = "SELECT extents, ino, part, until FROM past_part"
_BAD_CONTENT = "SELECT archive, finding FROM bad_content WHERE cid = ?"
_BAD_CHUNK = (
    "SELECT DISTINCT finding FROM bad_chunk WHERE segment = ? AND start < ? AND start + length > ?"
)

Key = tuple[int, ...]


class References:
    """Attaches affected paths to suspects, and finds suspects of its own."""

    def __init__(
        self, index: Index, calendar: Calendar, workspace: Workspace, suspects: Iterable[Suspect]
    ) -> None:
        self._index = index
        self._contents = _Contents(index)
        self._scratch = workspace.scratch
        self._paths = Paths(index, calendar)
        self._suspects = {suspect.affected.number: suspect for suspect in suspects}
        self._segments = {suspect.segment for suspect in suspects if suspect.segment}
        (self._bad_contents,) = self._scratch.execute(
            "SELECT EXISTS (SELECT 1 FROM bad_content)"
        ).fetchone()
        self.unknown = Suspect(
            Kind.CONTENT,
            "",
            workspace.affected(),
            noun="references to content that is in no archive",
        )
        self.malformed = Suspect(
            Kind.EXTENTS, "", workspace.affected(), noun="malformed lists of extents"
        )
        self.lists = 0

    def run(self) -> list[Suspect]:
        """Read every list of extents; return the suspects that were found on the way."""
        self._pass_live()
        self._pass(_PART, self._part)
        self._pass(_VERSION, lambda key: self._paths.past(*key))
        self._pass(_PAST_PART, lambda key: self._paths.past_part(*key))
        return [suspect for suspect in (self.unknown, self.malformed) if suspect.count]

    def _part(self, key: Key) -> Iterator[str]:
        ino, _, version = key
        yield from self._paths.live(ino)
        yield from self._paths.past_of_part(ino, version)

    def _pass_live(self) -> None:
        for row in self._index.connection.execute(_LIVE):
            plain = states.plain_of(row[2])
            if plain is not None and self._is_fine(plain):
                self.lists += 1
                continue
            self._examine(row[:1], lambda row: states.inode_of(row).extents, row, self._paths.live)

    def _is_fine(self, plain: states.Plain) -> bool:
        """Return whether nothing at all is wrong with the content of a file."""
        if plain.content is None:
            return True
        if self._bad_contents or not plain.size:
            return False
        content = self._contents.find(plain.content)
        return content is not None and min(plain.size, PART) <= content.size

    def _pass(self, query: str, paths: Callable[[Key], Iterator[str]]) -> None:
        for stored, *key in self._index.connection.execute(query):
            self._examine(tuple(key), rows.unpack_extents, stored, lambda *key: paths(key))

    def _examine(
        self,
        key: Key,
        extents_of: Callable[[Any], list[Extent]],
        stored: Any,  # noqa: ANN401
        paths: Callable[..., Iterator[str]],
    ) -> None:
        """Attach the paths of one list of extents to the suspects that it leads to."""
        self.lists += 1
        try:
            extents = extents_of(stored)
            problem = extents_problem(extents)
        except (msgspec.MsgspecError, ValueError) as error:
            extents, problem = [], str(error)
        if problem is not None:
            self.malformed.add(f"inode {key[0]}: {problem}")
            hit = [self.malformed]
        else:
            hit = self._suspects_of(extents)
        if hit:
            affected = list(paths(*key))
            for suspect in hit:
                suspect.needed = True
                suspect.affected.add(affected)

    def _suspects_of(self, extents: list[Extent]) -> list[Suspect]:
        """Return the suspects that some extents lead to."""
        hit: list[Suspect] = []
        for extent in extents:
            if extent.segment == 0:
                hit += self._archived(extent)
            elif extent.segment in self._segments:
                hit += self._hot(extent)
        return hit

    def _archived(self, extent: Extent) -> list[Suspect]:
        content = self._contents.find(extent.base)
        if content is None:
            self.unknown.add(f"content {extent.base} is in no archive")
            return [self.unknown]
        if extent.at + extent.length > content.size:
            self.unknown.add(f"content {extent.base} has no bytes {extent.at} and up")
            return [self.unknown]
        if self._bad_contents:
            found = self._scratch.execute(_BAD_CONTENT, (extent.base,)).fetchone()
            if found is not None and found[0] == content.archive and found[1] in self._suspects:
                return [self._suspects[found[1]]]
        return []

    def _hot(self, extent: Extent) -> list[Suspect]:
        query = (extent.segment, extent.at + extent.length, extent.at)
        found = self._scratch.execute(_BAD_CHUNK, query).fetchall()
        return [self._suspects[number] for (number,) in found if number in self._suspects]


class _Contents:
    """Finds contents, the faster the more often one and the next are kept in one row."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._last = -1  # the row of the content that was asked for last
        self._row = -1  # a row of which all contents are known
        self._held: dict[int, ContentRow] = {}

    def find(self, cid: int) -> ContentRow | None:
        """Return where a content lies."""
        row = contents.row_of(cid)
        if row != self._row:
            if row != self._last:
                self._last = row
                return self._index.content(cid)
            self._row, self._held = row, contents_in(self._index.connection, row)
        return self._held.get(cid)
