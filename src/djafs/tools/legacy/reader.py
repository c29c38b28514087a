"""Brings a legacy store into a store: every version of every name that it still holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby

from djafs.disk.legacy_layout import content_files, digest_in
from djafs.disk.records import Unlink, text_of
from djafs.extents import PART
from djafs.model import Inode
from djafs.tools.convert.carrying import StoreCarrier
from djafs.tools.convert.contents import WriteError
from djafs.tools.convert.large import FilePart
from djafs.tools.convert.links import Links
from djafs.tools.convert.reading import ReadFile, SourceError
from djafs.tools.convert.run import Conversion, Tick
from djafs.tools.convert.supply import Supply
from djafs.tools.convert.wanted import Place
from djafs.tools.legacy.catalog import Catalog, Version
from djafs.tools.legacy.contents import UNZIP_ERRORS, Found, LegacyContents
from djafs.tools.legacy.survey import Survey

UNNAMED = b"unnamed"
"""Directory of the contents that no table names (any more)."""


def bring_legacy(conversion: Conversion, supply: Supply, tick: Tick) -> None:
    """Bring a legacy store over; what its files do not hold (any more) is in the summary."""
    options, summary = conversion.options, conversion.summary
    catalog, links = Catalog(), Links()
    contents = LegacyContents(options.source, catalog.connection)
    carrier = StoreCarrier(conversion.intake, conversion.feed, conversion.target, links, summary)
    try:
        Survey(options.source, catalog, contents, summary.fail).run()
        bringing = _Bringing(conversion, supply, carrier, catalog, contents)
        bringing.root = conversion.make_root(options.prefix)
        bringing.run(tick)
        conversion.intake.finish()
    except WriteError as error:
        conversion.give_up(error)
    finally:
        links.close()
        contents.close()
        catalog.close()


class _Bringing:
    """One pass over the catalog. Directories are made as their first file comes."""

    def __init__(
        self,
        conversion: Conversion,
        supply: Supply,
        carrier: StoreCarrier,
        catalog: Catalog,
        contents: LegacyContents,
    ) -> None:
        self._conversion, self._supply, self._carrier = conversion, supply, carrier
        prefix = conversion.options.prefix
        self._prefix = prefix + b"/" if prefix else b""  # of member names
        self._catalog, self._contents = catalog, contents
        self._summary = conversion.summary
        self.root = 0
        self._open: list[tuple[bytes, int, bool]] = []  # name, inode, fresh
        self._file: bytes | None = None  # the last path that became a file

    def run(self, tick: Tick) -> None:
        """Bring every name, then the contents without one."""
        for path, versions in groupby(self._catalog.versions(), lambda version: version.path):
            self._bring_name(path, list(versions))
            if tick(self._summary):
                self._summary.interrupted = True
                return
        for digest, place in content_files(self._conversion.options.source):
            if not self._catalog.is_used(digest):
                self._catalog.use(digest)
                self._bring_unnamed(digest, place)
            if tick(self._summary):
                self._summary.interrupted = True
                return

    def _bring_unnamed(self, digest: str, path: str) -> None:
        member = UNNAMED + b"/" + digest.encode()
        modified = os.stat(path).st_mtime_ns
        self._bring_name(member, [Version(member, modified, os.path.basename(path), 0)])

    # Names

    def _bring_name(self, path: bytes, versions: list[Version]) -> None:
        self._summary.files += 1
        *above, name = path.split(b"/")
        if self._file is not None and path.startswith(self._file + b"/"):
            self._summary.fail(path, "its directory is the name of a file too")
            return
        times = [found for found in map(self._time, versions) if found is not None]
        place = self._enter(above, max(times, default=0))
        if place is None:
            self._summary.fail(path, "its directory is something else in the store")
            return
        present = None if place.fresh else self._conversion.target.lookup(place.ino, name)
        if present is not None and not present.is_regular:
            self._summary.fail(path, "its name is something else in the store")
            return
        self._bring_versions(place, name, versions, present)
        self._carrier.step()

    def _bring_versions(
        self, place: Place, name: bytes, versions: list[Version], present: Inode | None
    ) -> None:
        path = versions[0].path
        replaces, before = present is not None, None
        brought = False
        for version in versions:
            if not (version.target or version.hot or version.member):
                if replaces:
                    effective = version.modified
                    gone = Unlink(0, 0, place.ino, text_of(name), effective=effective)
                    self._conversion.intake.add(gone)
                    self._summary.gone += 1
                replaces, before = False, None
                continue
            read = self._read(version)
            if read is None:
                continue
            key = (read.digest, read.status.st_mtime_ns)
            old = present is not None and present.mtime >= read.status.st_mtime_ns
            if old or key == before:
                continue
            row = self._supply.version(self._prefix + place.path + name, read, self._parts)
            self._carrier.bring_row(place, name, row, replaces=replaces)
            replaces, before, brought = True, key, True
            self._file = path
        if brought and present is None:
            self._summary.new += 1
        elif brought:
            self._summary.changed += 1
        elif present is not None:
            self._summary.unchanged += 1

    # Contents

    def _find(self, version: Version) -> Found | None:
        if version.hot is not None:
            return Found(self._contents, os.fsdecode(version.hot), None)
        digest = digest_in(version.target)
        if digest is None:
            return Found(self._contents, version.zip, version.member)
        return self._contents.find(digest, version.target, version.zip, version.member)

    def _time(self, version: Version) -> int | None:
        return version.modified

    def _read(self, version: Version) -> ReadFile | None:
        """Read a version; note what is lost."""
        found = self._find(version)
        if found is None:
            what = "no file of the store holds its content, whole"
            self._summary.fail(version.path, f"{what}: {version.target}")
            return None
        try:
            size, data, digest = _measure(found)
            modified = found.mtime() if version.modified is None else version.modified
        except UNZIP_ERRORS as error:
            self._summary.fail(version.path, f"cannot be read: {error}")
            return None
        self._catalog.use(digest.hex())
        self._summary.bytes_read += size
        self._found = found
        status = make_status(stat.S_IFREG | 0o644, size, modified)
        return ReadFile(status, data, digest, None)

    def _parts(self, read: ReadFile) -> Iterator[FilePart]:
        """Yield the parts of the large file that was read last."""
        sha = sha256()
        with self._found.open() as file:
            for number in range(-(-read.status.st_size // PART)):
                data = file.read(PART)
                sha.update(data)
                yield FilePart(number, data, sha256(data).digest())
        if sha.digest() != read.digest:
            raise SourceError("changed while it was read")

    # Directories

    def _enter(self, names: list[bytes], modified: int) -> Place | None:
        """Return the directory with this path, which is made if it is not there."""
        common = 0
        while common < min(len(names), len(self._open)) and (
            self._open[common][0] == names[common]
        ):
            common += 1
        del self._open[common:]
        for name in names[common:]:
            above = self._place(names)
            present = None if above.fresh else self._conversion.target.lookup(above.ino, name)
            if present is not None and not present.is_directory:
                return None
            status = make_status(stat.S_IFDIR | 0o755, 0, modified)
            ino = self._carrier.directory(above, name, status, None, present)
            self._summary.directories += 1
            self._open.append((name, ino, present is None))
        return self._place(names)

    def _place(self, names: list[bytes]) -> Place:
        path = b"".join(name + b"/" for name in names[: len(self._open)])
        if self._open:
            _, ino, fresh = self._open[-1]
            return Place(-1, ino, path, fresh)
        return Place(-1, self.root, b"", False)


def _measure(found: Found) -> tuple[int, bytes | None, bytes]:
    """Return the size of a content, its bytes unless it is large, and its SHA-256."""
    with found.open() as file:
        data = file.read(PART + 1)
        sha = sha256(data)
        if len(data) <= PART:
            return len(data), data, sha.digest()
        size = len(data)
        while data := file.read(1 << 20):
            sha.update(data)
            size += len(data)
    return size, None, sha.digest()


def make_status(mode: int, size: int, modified: int) -> os.stat_result:
    """Return what stat(2) would say of a file that belongs to who runs this."""
    seconds = modified // 10**9
    fields = (mode, 0, 0, 1, os.geteuid(), os.getegid(), size, seconds, seconds, seconds)
    exact = {f"st_{which}time_ns": modified for which in "amc"}
    return os.stat_result(fields, {**exact, "st_rdev": 0})
