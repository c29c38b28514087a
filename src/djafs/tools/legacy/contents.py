"""From a target to the bytes that it stands for: verified, wherever in the store they are."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from djafs.disk.legacy_layout import content_files, content_path, digest_in, zip_files

STEP = 1 << 20
OPEN_ZIPS = 8

SMALL = 64 << 10
"""Contents up to this size are not read again once they are verified."""

RECENT = 256
"""So many of them are kept, for tables name the same content many times."""

UNZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, KeyError,
)  # fmt: skip


class LegacyContents:
    """Finds contents by their SHA-256: in ``work``, then in ZIP files by target, then by name."""

    def __init__(self, root: str, scratch: sqlite3.Connection) -> None:
        self._root = root
        self._db = scratch
        self._indexed = False
        self._zips: dict[str, zipfile.ZipFile | None] = {}
        self._recent: dict[str, Found] = {}

    def find(self, digest: str, target: str, zip_path: str, member: str) -> Found | None:
        """Return where a content is; None when no file of the store holds it, whole."""
        known = self._recent.get(digest)
        if known is not None:
            return known
        for place in self._places(digest, target, zip_path, member):
            if self._holds(place, digest):
                if place.data is not None:
                    if len(self._recent) >= RECENT:
                        del self._recent[next(iter(self._recent))]
                    self._recent[digest] = place
                return place
        return None

    def _places(self, digest: str, target: str, zip_path: str, member: str) -> Iterator[Found]:
        yield Found(self, content_path(self._root, target), None)
        self._index()
        query = "SELECT path, member FROM place WHERE digest = ? ORDER BY rowid"
        for path, name in self._db.execute(query, (digest,)).fetchall():
            yield Found(self, path, name)
        if zip_path:
            yield Found(self, zip_path, member)

    def _index(self) -> None:
        if self._indexed:
            return
        self._indexed = True
        add = "INSERT INTO place VALUES (?, ?, ?)"
        self._db.executescript(
            "CREATE TABLE place (digest, path, member);"
            " CREATE INDEX place_digest ON place (digest);"
        )
        for digest, path in content_files(self._root):
            self._db.execute(add, (digest, path, None))
        for path in zip_files(self._root):
            for name in self.members(path):
                digest_found = digest_in(name)
                if digest_found:
                    self._db.execute(add, (digest_found, path, name))

    def _holds(self, place: Found, digest: str) -> bool:
        try:
            with place.open() as file:
                chunk = file.read(SMALL + 1)
                sha = hashlib.sha256(chunk)
                if len(chunk) <= SMALL:
                    place.data = chunk
                while chunk := file.read(STEP):
                    sha.update(chunk)
        except UNZIP_ERRORS:
            return False
        return sha.hexdigest() == digest

    def members(self, path: str) -> list[str]:
        """Return the names in a ZIP file, none if it cannot be read."""
        archive = self.zip(path)
        return [i.filename for i in archive.infolist() if not i.is_dir()] if archive else []

    def zip(self, path: str) -> zipfile.ZipFile | None:
        """Return an open ZIP file, None if there is none that can be read."""
        if path not in self._zips:
            if len(self._zips) >= OPEN_ZIPS:
                oldest = self._zips.pop(next(iter(self._zips)))
                if oldest is not None:
                    oldest.close()
            try:
                self._zips[path] = zipfile.ZipFile(path)
            except UNZIP_ERRORS:
                self._zips[path] = None
        return self._zips[path]

    def close(self) -> None:
        """Close every ZIP file."""
        for archive in self._zips.values():
            if archive is not None:
                archive.close()
        self._zips.clear()


class Found:
    """A place that holds a content: a file, or a member of a ZIP file."""

    def __init__(self, contents: LegacyContents, path: str, member: str | None) -> None:
        self._contents = contents
        self.path = path
        self.member = member
        self.data: bytes | None = None  # of a small content that was read and verified

    def open(self) -> IO[bytes]:
        """Open it for reading (raises one of UNZIP_ERRORS)."""
        if self.data is not None:
            return io.BytesIO(self.data)
        if self.member is None:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            return open(descriptor, "rb")
        archive = self._contents.zip(self.path)
        if archive is None:
            raise FileNotFoundError(self.path)
        return archive.open(self.member)

    def mtime(self) -> int:
        """Return when the file that holds it was written."""
        return os.stat(self.path).st_mtime_ns
