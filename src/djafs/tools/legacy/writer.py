"""Writes a tree in the layout of the original djafs, for tools that read nothing else.

A directory with at most :data:`MOST` files below it becomes one *boundary*: a ZIP file with every
document under its path, a lookup table, and counts. Of a larger one the directories in it become
boundaries of their own. What the layout cannot hold (links, modes, owners, empty directories,
names that are not UTF-8) is said in docs/convert.md.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import sha256

import msgspec

import djafs
from djafs.disk.legacy_layout import (
    DATA,
    FILES,
    METADATA,
    RUN_METADATA,
    TABLE,
    WORK,
    is_legacy,
    target_of,
)
from djafs.errors import UsageError
from djafs.tools.convert.excludes import Excludes
from djafs.tools.convert.listing import Listing
from djafs.tools.convert.options import Options
from djafs.tools.convert.reading import CHANGED, SourceError, describe, open_file, same
from djafs.tools.convert.run import check
from djafs.tools.convert.summary import Summary
from djafs.tools.legacy.tables import TableError, text_of_time

MOST = 5000
"""Files of one boundary, unless they all lie in one directory."""

STEP = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_legacy(options: Options, tick: Callable[[Summary], bool]) -> Summary:
    """Write the source in the original's layout, and say what was done."""
    check(options)
    for name in ("checksum", "delete", "dry_run", "parity", "prefix", "time_zone"):
        if getattr(options, name):
            raise UsageError(f"--legacy does not go with --{name.replace('_', '-')}")
    if options.threads is not None or options.level != Options.level:
        raise UsageError("--legacy does not go with --threads and --compression-level")
    os.makedirs(options.output, exist_ok=True)
    if os.listdir(options.output) and not is_legacy(options.output):
        raise UsageError(f"{options.output} is not empty, and no store of the original djafs")
    writer = _Writer(options, tick)
    try:
        writer.run()
    except OSError as error:
        writer.summary.fail(b"", f"the store cannot be written: {error}")
    writer.summary.finish()
    return writer.summary


class Row(msgspec.Struct):
    """An entry of a lookup table; the fields are its keys, in the original's order."""

    size: int
    inode: int
    modified: str
    name: str
    target: str


@dataclass
class _Counts:
    """What a metadata file says."""

    files: int = 0
    targets: int = 0
    size: int = 0
    oldest: int | None = None
    newest: int | None = None

    def add(self, size: int, mtime: int, *, is_new: bool) -> None:
        """Count a file, and its content if that is new."""
        self.files += 1
        self.targets += is_new
        self.size += size
        self.oldest = mtime if self.oldest is None else min(self.oldest, mtime)
        self.newest = mtime if self.newest is None else max(self.newest, mtime)

    def text(self) -> bytes:
        """Write them as the original does."""
        absent = "0001-01-01T00:00:00Z"
        fields = {
            "compressed_size": 0,
            "djafs_version": djafs.__version__,
            "newest_file_ts": absent if self.newest is None else text_of_time(self.newest),
            "oldest_file_ts": absent if self.oldest is None else text_of_time(self.oldest),
            "target_file_count": self.targets,
            "total_file_count": self.files,
            "uncompressed_size": self.size,
        }
        return msgspec.json.encode(fields)


class _Frame:
    """A directory that the walk is in: files of it, and of directories below that are whole."""

    def __init__(self, path: bytes, listing: Listing) -> None:
        self.path = path  # with a slash at its end, unless it is the top
        self.directories = iter(listing.directories)
        self.own: list[bytes] = []
        self.below: list[tuple[bytes, list[bytes]]] = []
        self.count = 0
        self.split = False  # has so many files that its directories are boundaries


class _Writer:
    """One run."""

    def __init__(self, options: Options, tick: Callable[[Summary], bool]) -> None:
        self.summary = Summary()
        self._options = options
        self._tick = tick
        self._source = os.path.join(os.fsencode(options.source), b"")
        self._output = os.fsencode(options.output)
        self._excludes = Excludes(options.exclude)
        self._all = _Counts()
        self._inode = 1
        self._stack: list[_Frame] = []

    def run(self) -> None:
        """Write everything."""
        os.makedirs(os.path.join(self._options.output, WORK), exist_ok=True)
        self._device = os.stat(self._source).st_dev
        self._enter(b"")
        while self._stack and not self.summary.interrupted:
            frame = self._stack[-1]
            name = next(frame.directories, None)
            if name is None:
                self._leave(frame)
            elif not self._is_left_out(frame.path, name, is_directory=True):
                self.summary.directories += 1
                self._enter(b"%s%s/" % (frame.path, name))
        counts = os.path.join(self._output, RUN_METADATA.encode())
        _write(counts, self._all.text())

    # The walk

    def _is_left_out(self, directory: bytes, name: bytes, *, is_directory: bool) -> bool:
        if is_directory and not directory and name == b"lost+found":
            return True
        if self._excludes and self._excludes.match(directory, name, is_directory=is_directory):
            self.summary.excluded += 1
            return True
        return False

    def _enter(self, path: bytes) -> None:
        try:
            descriptor = os.open(self._source + path, _DIRECTORY if path else os.O_DIRECTORY)
            try:
                other = os.fstat(descriptor).st_dev != self._device
                if other and self._options.one_file_system:
                    return
                listing = Listing(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.summary.fail(path, describe(error))
            return
        for name in listing.others:
            if not self._is_left_out(path, name, is_directory=False):
                self.summary.fail(path + name, "the layout of the original holds files alone")
        frame = _Frame(path, listing)
        self._stack.append(frame)
        for name in listing.files:
            if not self._is_left_out(path, name, is_directory=False):
                frame.own.append(path + name)
        frame.count = len(frame.own)

    def _leave(self, frame: _Frame) -> None:
        """Hand what is below a directory to the one above, or write it."""
        self._stack.pop()
        self._split_if_large(frame)
        files = frame.own + [path for _, paths in frame.below for path in paths]
        if frame.split or not self._stack:
            self._write_boundary(frame.path, files)
            files = []
        if self._stack:
            above = self._stack[-1]
            above.below.append((frame.path, files))
            above.count += frame.count
            self._split_if_large(above)

    def _split_if_large(self, frame: _Frame) -> None:
        if frame.count > MOST:
            frame.split = True
        if frame.split:
            for path, files in frame.below:
                if files:
                    self._write_boundary(path, files)
            frame.below = []

    # Writing

    def _write_boundary(self, path: bytes, files: list[bytes]) -> None:
        directory = os.path.join(self._output, DATA.encode(), path)
        os.makedirs(directory, exist_ok=True)
        counts, rows = _Counts(), []
        seen: set[str] = set()
        draft = os.path.join(directory, FILES.encode() + b".tmp")
        with zipfile.ZipFile(os.fsdecode(draft), "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                row = self._write_file(archive, path, file)
                if row is None:
                    continue
                mtime, entry = row
                rows.append(row)
                counts.add(entry.size, mtime, is_new=entry.target not in seen)
                seen.add(entry.target)
                if self._tick(self.summary):
                    self.summary.interrupted = True
                    break
        os.replace(draft, os.path.join(directory, FILES.encode()))
        rows.sort(key=lambda pair: pair[0])
        table = {"entries": [entry for _, entry in rows], "sorted": True}
        _write(os.path.join(directory, METADATA.encode()), counts.text())
        _write(os.path.join(directory, TABLE.encode()), msgspec.json.encode(table) + b"\n")
        self.summary.archives += 1
        self.summary.bytes_out += os.path.getsize(os.path.join(directory, FILES.encode()))

    def _write_file(
        self, archive: zipfile.ZipFile, boundary: bytes, path: bytes
    ) -> tuple[int, Row] | None:
        summary = self.summary
        summary.files += 1
        try:
            name = path.removeprefix(boundary).decode()
            status, digest, is_new = self._store(path)
            row = Row(
                status.st_size,
                self._inode,
                text_of_time(status.st_mtime_ns),
                name,
                target_of(digest),
            )
        except UnicodeDecodeError:
            summary.fail(path, "the layout of the original has no names that are not UTF-8")
            return None
        except (SourceError, TableError) as error:
            summary.fail(path, str(error))
            return None
        info = zipfile.ZipInfo(name, _zip_time(status.st_mtime))
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        with (
            open(self._work(digest), "rb") as content,
            archive.open(info, "w", force_zip64=status.st_size >= 1 << 31) as member,
        ):
            shutil.copyfileobj(content, member, STEP)
        self._inode += 1
        summary.new += 1
        summary.contents += is_new
        summary.duplicates += not is_new
        summary.bytes_read += status.st_size
        self._all.add(status.st_size, status.st_mtime_ns, is_new=is_new)
        return status.st_mtime_ns, row

    def _work(self, digest: str) -> bytes:
        return os.path.join(self._output, WORK.encode(), target_of(digest).encode())

    def _store(self, path: bytes) -> tuple[os.stat_result, str, bool]:
        """Copy a file of the source into the content store; raises SourceError, OSError.

        Returns what it is, its SHA-256, and whether its content is new.
        """
        draft = os.path.join(self._output, WORK.encode(), b".draft")
        sha = sha256()
        try:
            descriptor = open_file(self._source + path)
        except OSError as error:
            raise SourceError(describe(error)) from error
        with open(descriptor, "rb", buffering=0) as source, open(draft, "wb") as copy:
            status = os.fstat(descriptor)
            while True:
                try:
                    chunk = source.read(STEP)
                except OSError as error:
                    raise SourceError(describe(error)) from error
                if not chunk:
                    break
                sha.update(chunk)
                copy.write(chunk)
            if not same(status, os.fstat(descriptor)) or copy.tell() != status.st_size:
                raise SourceError(CHANGED)
        target = self._work(sha.hexdigest())
        is_new = not os.path.exists(target)
        if is_new:
            self.summary.bytes_in += status.st_size
        os.replace(draft, target)
        return status, sha.hexdigest(), is_new


def _zip_time(mtime: float) -> tuple[int, int, int, int, int, int]:
    """Return a time as ZIP files have it: local to nobody, from 1980 to 2107."""
    first, last = 315532800, 4354819198
    moment = datetime.fromtimestamp(min(max(mtime, first), last), timezone.utc)
    return (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


def _write(path: bytes, text: bytes) -> None:
    with open(path + b".tmp", "wb") as file:
        file.write(text)
    os.replace(path + b".tmp", path)
