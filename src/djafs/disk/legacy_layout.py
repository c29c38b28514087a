"""Where things lie in a store of the original djafs, and how its names are built."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

TABLE = "lookups.djfl"
METADATA = "metadata.djfm"
RUN_METADATA = "conversion_metadata.djfm"
FILES = "files.djfz"
DATA = "data"
WORK = "work"

_TABLES = (TABLE, "lookup.djfl")
_DATA = (DATA, ".data")
_WORK = (WORK, ".work")
_HOT = ("hot_cache/staging", "hot_cache/incoming")
_TARGET = re.compile(r"\d{1,3}-\d{5}-[0-9a-f]{64}")
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


@dataclass(frozen=True)
class Boundary:
    """A directory that has a lookup table: ``place`` is what it stands for below ``data``.

    ``place`` is None for the one table of a store that was mounted.
    """

    directory: str
    place: str | None
    table: str

    @property
    def zip(self) -> str:
        """Path of the ZIP file whose members have the names of the table."""
        return os.path.join(self.directory, FILES)


def is_legacy(path: str) -> bool:
    """Return whether a directory is a store that the original djafs wrote."""
    if os.path.lexists(os.path.join(path, "djafs.json")):
        return False
    for directory in ("", *_DATA):
        for name in _TABLES:
            if os.path.isfile(os.path.join(path, directory, name)):
                return True
    if os.path.isfile(os.path.join(path, RUN_METADATA)):
        return True
    return any(_has_target(os.path.join(path, work)) for work in _WORK)


def _has_target(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(_TARGET.match(entry.name) for entry in entries)
    except OSError:
        return False


def boundaries(root: str) -> Iterator[Boundary]:
    """Yield every directory that has a table, that of the mount first, then by path."""
    yield from _boundary(root, None)
    for data in _DATA:
        top = os.path.join(root, data)
        for directory, inner, _ in os.walk(top):
            inner.sort()
            place = os.path.relpath(directory, top)
            yield from _boundary(directory, "" if place == "." else place)


def _boundary(directory: str, place: str | None) -> Iterator[Boundary]:
    for name in _TABLES:
        table = os.path.join(directory, name)
        if os.path.isfile(table):
            yield Boundary(directory, place, table)
            return


def content_files(root: str) -> Iterator[tuple[str, str]]:
    """Yield (SHA-256, path) of every file below ``work`` whose name says what it holds."""
    for work in _WORK:
        for directory, inner, names in os.walk(os.path.join(root, work)):
            inner.sort()
            for name in sorted(names):
                digest = digest_in(name)
                if digest is not None:
                    yield digest, os.path.join(directory, name)


def zip_files(root: str) -> Iterator[str]:
    """Yield the path of every ZIP file of the store."""
    for data in (*_DATA, *_WORK):
        for directory, inner, names in os.walk(os.path.join(root, data)):
            inner.sort()
            yield from (os.path.join(directory, n) for n in sorted(names) if n.endswith(".djfz"))


def hot_files(root: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, path) of files that the mount had not yet stored, the oldest place first."""
    for hot in _HOT:
        top = os.fsencode(os.path.join(root, hot))
        for directory, inner, names in os.walk(top):
            inner.sort()
            for name in sorted(names):
                path = os.path.join(directory, name)
                yield os.path.relpath(path, top), path


def content_path(root: str, target: str) -> str:
    """Return the path at which the original looks for a target."""
    return os.path.join(root, WORK, target)


def digest_in(name: str) -> str | None:
    """Return the SHA-256 that a name or target holds."""
    match = _DIGEST.search(name)
    return match[0] if match else None


def target_of(digest: str) -> str:
    """Return the target of a content: its bucket, its sub-bucket, its SHA-256."""
    value = _OFFSET
    for byte in digest.encode():
        value = (value * _PRIME & _MASK) ^ byte
    if value >= 1 << 63:
        value += (1 << 63) - 1 - (1 << 64)
    return f"{value % 1000}-00000-{digest}"
