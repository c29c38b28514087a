"""Reads all tables of a legacy store, and tells what each of its names stands for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from djafs.disk.legacy_layout import RUN_METADATA, Boundary, boundaries, digest_in, hot_files
from djafs.tools.legacy.catalog import Catalog, Version
from djafs.tools.legacy.contents import LegacyContents
from djafs.tools.legacy.tables import TableEntry, TableError, read_table

Tell = Callable[[bytes, str], None]
"""Told of each problem: the path it concerns, and what is wrong."""


class Survey:
    """Fills a catalog from what a store has of tables, ZIP files and unstored files."""

    def __init__(self, root: str, catalog: Catalog, contents: LegacyContents, tell: Tell) -> None:
        self._root = root
        self._catalog = catalog
        self._contents = contents
        self._tell = tell
        self.tables = 0
        self.entries = 0

    def run(self) -> None:
        """Read everything."""
        found = list(boundaries(self._root))
        stripped = self._prefix(found) if self._is_flat(found) else None
        for boundary in found:
            self.tables += 1
            for item in read_table(boundary.table):
                if isinstance(item, TableError):
                    self._tell(self._shown(boundary.table), str(item))
                else:
                    self.entries += 1
                    self._add(boundary, item, stripped)
        for boundary in found:
            self._add_members(boundary)
        for name, path in hot_files(self._root):
            status = os.lstat(path)
            self._catalog.add(Version(name, status.st_mtime_ns, "", status.st_size, hot=path))
        self._compare_counts()

    def _shown(self, path: str) -> bytes:
        return os.fsencode(os.path.relpath(path, self._root))

    @staticmethod
    def _is_flat(found: list[Boundary]) -> bool:
        """Return whether names begin with the path that the converter was given.

        So they do in stores that ``convert --legacy`` wrote, which have no ``files.djfz``.
        """
        data = [boundary for boundary in found if boundary.place is not None]
        return bool(data) and not any(os.path.exists(boundary.zip) for boundary in data)

    @staticmethod
    def _prefix(found: list[Boundary]) -> str:
        """Return the path that the converter was given, as its names begin with it."""
        for boundary in found:
            for item in read_table(boundary.table) if boundary.place else ():
                inside = f"/{boundary.place}/"
                if isinstance(item, TableEntry) and inside in item.name:
                    return item.name[: item.name.index(inside)]
        common: str | None = None
        for boundary in found:
            for item in read_table(boundary.table):
                if isinstance(item, TableEntry):
                    directory = item.name.rpartition("/")[0]
                    common = directory if common is None else _common(common, directory)
        return common or ""

    def _add(self, boundary: Boundary, entry: TableEntry, stripped: str | None) -> None:
        name = entry.name
        if stripped is not None:
            name = name.removeprefix(stripped).lstrip("/")
        elif boundary.place:
            name = f"{boundary.place}/{name}"
        path = self._path(name, boundary)
        if path is None:
            return
        version = Version(path, entry.modified, entry.target, entry.size)
        if entry.target and boundary.place is not None and stripped is None:
            version = version._replace(zip=boundary.zip, member=entry.name)
        self._catalog.add(version)
        digest = digest_in(entry.target)
        if digest:
            self._catalog.use(digest)
        elif entry.target:
            self._tell(path, f"its target {entry.target!r} names no content")

    def _path(self, name: str, boundary: Boundary) -> bytes | None:
        path = b"/".join(
            part
            for part in name.encode("utf-8", "surrogateescape").split(b"/")
            if part not in {b"", b"."}
        )
        if not path or b".." in path.split(b"/") or b"\0" in path:
            self._tell(self._shown(boundary.table), f"{name!r} cannot be the name of a file")
            return None
        return path

    def _add_members(self, boundary: Boundary) -> None:
        """Add members of ZIP files that no table names (any more)."""
        if boundary.place is None:
            return
        for member in self._contents.members(boundary.zip):
            name = f"{boundary.place}/{member}" if boundary.place else member
            path = self._path(name, boundary)
            if path is not None and not self._catalog.has(path):
                modified = os.stat(boundary.zip).st_mtime_ns
                self._catalog.add(Version(path, modified, "", 0, boundary.zip, member))
                self._tell(path, "no table names it: its time is that of its ZIP file")

    def _compare_counts(self) -> None:
        """Tell of names that the converter has counted and not entered."""
        try:
            with open(os.path.join(self._root, RUN_METADATA), "rb") as file:
                counted = json.load(file)["total_file_count"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._tell(RUN_METADATA.encode(), f"cannot be read: {error}")
            return
        named = self._catalog.names()
        if isinstance(counted, int) and counted > named:
            what = f"counts {counted:,} files, of which {named:,} have a name: the others' are lost"
            self._tell(RUN_METADATA.encode(), what)


def _common(left: str, right: str) -> str:
    """Return the path that both lie in."""
    found = []
    for one, other in zip(left.split("/"), right.split("/"), strict=False):
        if one != other:
            break
        found.append(one)
    return "/".join(found)
