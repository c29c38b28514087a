"""Names, link counts and directories of the live tree fit together."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from djafs.disk import sqlite, states
from djafs.disk.index import Index
from djafs.model import LIVE_ROOT, Calendar
from djafs.tools.validation.findings import MOST_DETAILS, Finding, Kind
from djafs.tools.validation.paths import Paths, shown
from djafs.tools.validation.workspace import Affected, Workspace

Row = tuple[Any, ...]

_INODES = f"SELECT {states.INODE} FROM inode i WHERE nlink != 0 ORDER BY ino"
_NAMES = "SELECT ino, count(*), min(parent) FROM dentry GROUP BY ino ORDER BY ino"
# CROSS JOIN: names in the order of their directories, so that nothing has to be sorted.
_CHILDREN = (
    f"SELECT d.parent, count(*), sum({states.IS_REGULAR}), sum({states.IS_DIRECTORY})"
    " FROM dentry d CROSS JOIN inode i ON i.ino = d.ino"
    " GROUP BY d.parent ORDER BY d.parent"
)
_DANGLING = (
    "SELECT parent, name, ino FROM dentry d WHERE NOT EXISTS"
    " (SELECT 1 FROM inode WHERE ino = d.ino AND nlink != 0)"
)
_STRAY = (
    "SELECT parent, name, ino FROM dentry d WHERE NOT EXISTS"
    f" (SELECT 1 FROM inode i WHERE i.ino = d.parent AND nlink != 0 AND {states.IS_DIRECTORY})"
)
_ALIKE = (
    "SELECT parent, hash FROM dentry WHERE hash IS NOT NULL GROUP BY parent, hash"
    " HAVING count(*) > 1"
)
_FEW = "SELECT parent, name, ino FROM dentry WHERE hash IS NULL ORDER BY parent"
_HIDDEN = (
    "SELECT parent, name, ino FROM dentry d WHERE hash IS NOT name_hash(name)"
    " AND EXISTS (SELECT 1 FROM dentry WHERE parent = d.parent AND hash IS NOT NULL)"
)
_TWICE = (
    "SELECT name, max(ino) FROM dentry WHERE parent = ? AND hash = ?"
    " GROUP BY name HAVING count(*) > 1"
)
_PARTS = "SELECT DISTINCT ino FROM part p WHERE NOT EXISTS (SELECT 1 FROM inode WHERE ino = p.ino)"
_BELOW = (
    f"WITH RECURSIVE below(ino) AS (SELECT {LIVE_ROOT} UNION ALL SELECT d.ino FROM below"
    f" JOIN directory d ON d.parent = below.ino WHERE d.ino != {LIVE_ROOT}) "
)
_LOST = (
    f"{_BELOW}SELECT ino FROM inode i WHERE {states.IS_DIRECTORY} AND nlink != 0"
    " AND ino NOT IN (SELECT ino FROM below)"
)
_NO_CHILDREN = (0, 0, 0)


class _Problem:
    """One thing that is wrong, with all inodes or names of which it is."""

    def __init__(self, noun: str, affected: Affected) -> None:
        self.noun = noun
        self.affected = affected
        self.count = 0
        self.details: list[str] = []

    def add(self, detail: str, paths: Iterator[str]) -> None:
        self.count += 1
        if len(self.details) < MOST_DETAILS:
            self.details.append(detail)
        self.affected.add(paths)


class NamespaceCheck:
    """Checks one index. Every query runs along an index of its table: memory stays constant."""

    def __init__(self, index: Index, calendar: Calendar, workspace: Workspace) -> None:
        self._db: sqlite.Connection = index.connection
        self._paths = Paths(index, calendar)
        self._workspace = workspace
        self._problems: dict[str, _Problem] = {}
        self.inodes = 0

    def run(self) -> Iterator[Finding]:
        """Yield what is wrong, one finding for each kind of problem."""
        for parent, name, ino in self._db.execute(_DANGLING):
            self._name("names without an inode", parent, name, ino)
        for parent, name, ino in self._db.execute(_STRAY):
            self._name("names in what is no directory", parent, name, ino)
        for parent, hashed in self._db.execute(_ALIKE):
            for name, ino in self._db.execute(_TWICE, (parent, hashed)).fetchall():
                self._name("names that are there twice", parent, name, ino)
        self._check_few()
        for parent, name, ino in self._db.execute(_HIDDEN):
            self._name("names that are not found", parent, name, ino)
        self._check_inodes()
        for (ino,) in self._db.execute(_PARTS):
            self._inode("contents without an inode", ino, "has parts, but does not exist")
        for (ino,) in self._db.execute(_LOST):
            self._inode("directories out of reach", ino, "cannot be reached from live/")
        for problem in self._problems.values():
            what = f"{problem.noun}: {problem.count:,}"
            yield Finding(Kind.NAMESPACE, "", what, problem.affected, problem.details)

    def _check_few(self) -> None:
        """Look for names that are there twice in directories whose names have no hashes."""
        for parent, names in groupby(self._db.execute(_FEW), lambda row: row[0]):
            seen = set()
            for _, name, ino in names:
                if name in seen:
                    self._name("names that are there twice", parent, name, ino)
                seen.add(name)

    def _check_inodes(self) -> None:
        """Walk inodes, names by inode, and names by directory, side by side."""
        names = _Side(self._db.execute(_NAMES))
        children = _Side(self._db.execute(_CHILDREN))
        root = False
        for row in self._db.execute(_INODES):
            self.inodes += 1
            ino, nlink = row[:2]
            links, above = names.at(ino) or (0, None)
            plain = states.plain_of(row[2])
            if plain is not None and not stat.S_ISDIR(plain.mode):
                if links != nlink:
                    self._wrong_links(ino, links, nlink)
                continue
            inside = children.at(ino) or _NO_CHILDREN
            try:
                inode = states.inode_of(row)
            except ValueError as error:
                self._inode("damaged inodes", ino, str(error))
                continue
            if inode.is_directory:
                root = root or ino == LIVE_ROOT
                counts = [inode.entries, inode.files]
                self._check_directory(
                    ino, nlink, (links, above, inode.parent or None), inside, counts
                )
            elif links != nlink:
                self._wrong_links(ino, links, nlink)
        if self.inodes and not root:
            self._inode("directories out of reach", LIVE_ROOT, "is missing: it is live/ itself")

    def _wrong_links(self, ino: int, links: int, nlink: int) -> None:
        self._inode("wrong link counts", ino, f"has {links} names, but {nlink} links")

    def _check_directory(
        self, ino: int, nlink: int, name: Row, inside: Row, counts: list[int]
    ) -> None:
        links, above, parent = name
        entries, files, directories = inside
        if nlink != 2 + directories:
            detail = f"has {directories} directories in it, but {nlink} links"
            self._inode("wrong link counts", ino, detail)
        if counts != [entries, files]:
            detail = f"has {entries} names, {files} of files; counted are {counts}"
            self._inode("wrong counts of entries", ino, detail)
        expected = (0, None) if ino == LIVE_ROOT else (1, above)
        if (links, parent) != expected:
            detail = f"has {links} names, and directory {parent} as its parent"
            self._inode("directories with a wrong parent", ino, detail)

    def _inode(self, noun: str, ino: int, detail: str) -> None:
        self._problem(noun).add(f"inode {ino} {detail}", self._paths.live(ino))

    def _name(self, noun: str, parent: int, name: bytes, ino: int) -> None:
        detail = f"{shown(name)} in directory {parent} is inode {ino}"
        self._problem(noun).add(detail, iter([self._paths.entry(parent, name)]))

    def _problem(self, noun: str) -> _Problem:
        if noun not in self._problems:
            self._problems[noun] = _Problem(noun, self._workspace.affected())
        return self._problems[noun]


class _Side:
    """Rows in ascending order of an inode number, asked for in ascending order."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._row: Row | None = next(rows, None)

    def at(self, ino: int) -> Row | None:
        """Return what the row of ``ino`` has besides, None if there is none."""
        while self._row is not None and self._row[0] < ino:
            self._row = next(self._rows, None)
        if self._row is not None and self._row[0] == ino:
            return self._row[1:]
        return None
