"""Everything that a store shows, with what cannot be read marked as such."""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import date
from pathlib import Path
from typing import NamedTuple

from djafs.disk import sqlite
from djafs.errors import DamageError
from djafs.model import LIVE_ROOT, Inode
from djafs.store.store import Store

EIO = "EIO"

Seen = dict[bytes, "Shown | str"]
"""What there is, by its path in the mount; :data:`EIO` for what cannot be read."""

_EVERY = 100_000


class Shown(NamedTuple):
    """What a file, directory or symlink shows of itself."""

    mode: int
    uid: int
    gid: int
    size: int  # 0 for a directory
    mtime: int
    xattrs: tuple[tuple[bytes, bytes], ...]
    content: str  # SHA-256 of content or target; empty for what has neither


def look(store: Store) -> Seen:
    """Read all of an open store: live, and at the end of each day."""
    seen: Seen = {}
    with store.guard:
        _live(store, LIVE_ROOT, b"live", seen)
    store.syncer.catch_up()
    try:
        days = store.snapshots.days()
    except sqlite.Error as error:
        _must_be_damage(error)
        seen[b"snapshots"] = EIO
        return seen
    for day in days:
        place = date.fromordinal(day).strftime("snapshots/%Y/%m/%d").encode()
        _past(store, LIVE_ROOT, place, day, seen)
    return seen


def _live(store: Store, directory: int, path: bytes, seen: Seen) -> None:
    try:
        entries = store.tree.entries(directory, 0, _EVERY, plus=True)
    except (DamageError, sqlite.Error) as error:
        _must_be_damage(error)
        seen[path] = EIO
        return
    for entry in entries:
        below = path + b"/" + entry.name
        try:
            assert entry.inode is not None
            pieces = store.content.pieces(entry.inode, 0, entry.inode.size)
            seen[below] = _shown(entry.inode, store.content.read(pieces))
        except (DamageError, sqlite.Error) as error:
            _must_be_damage(error)
            seen[below] = EIO
        if entry.inode is not None and entry.inode.is_directory:
            _live(store, entry.ino, below, seen)


def _past(store: Store, directory: int, path: bytes, day: int, seen: Seen) -> None:
    try:
        entries = store.snapshots.entries(directory, None, _EVERY, day)
    except (DamageError, sqlite.Error) as error:
        _must_be_damage(error)
        seen[path] = EIO
        return
    for name, inode, _ in entries:
        below = path + b"/" + name
        try:
            seen[below] = _shown(inode, store.reads.past(inode, 0, inode.size))
        except (DamageError, sqlite.Error) as error:
            _must_be_damage(error)
            seen[below] = EIO
        if inode.is_directory:
            _past(store, inode.ino, below, day, seen)


def _must_be_damage(error: Exception) -> None:
    assert isinstance(error, DamageError) or sqlite.is_damage(error), repr(error)


def _shown(inode: Inode, content: bytes) -> Shown:
    if inode.is_regular:
        digest = hashlib.sha256(content).hexdigest()
    else:
        digest = hashlib.sha256(inode.target).hexdigest() if inode.target is not None else ""
    return Shown(
        inode.mode,
        inode.uid,
        inode.gid,
        inode.size if inode.is_regular else 0,
        inode.mtime,
        tuple(sorted((inode.xattrs or {}).items())),
        digest,
    )


def look_through(mountpoint: Path, latest: bool = False) -> Seen:
    """Read all that a mount shows, as :func:`look` does of a store."""
    seen: Seen = {}
    top = os.fsencode(mountpoint)
    _below(top, b"live", seen)
    try:
        years = [b"snapshots/" + year for year in os.listdir(top + b"/snapshots")]
        for year in sorted(years):
            if year.endswith(b"latest"):
                if latest:
                    _below(top, year, seen)
                continue
            for month in sorted(os.listdir(top + b"/" + year)):
                for day in sorted(os.listdir(top + b"/" + year + b"/" + month)):
                    _below(top, b"/".join((year, month, day)), seen)
    except OSError as error:
        assert os.strerror(error.errno) == os.strerror(5), error
        seen[b"snapshots"] = EIO
    return seen


def _below(top: bytes, path: bytes, seen: Seen) -> None:
    try:
        names = os.listdir(top + b"/" + path)
    except OSError as error:
        assert error.errno == 5, error
        seen[path] = EIO
        return
    for name in names:
        below = path + b"/" + name
        try:
            shown = seen[below] = _shown_at(top + b"/" + below)
        except OSError as error:
            assert error.errno == 5, error
            seen[below] = EIO
            continue
        if stat.S_ISDIR(shown.mode):
            _below(top, below, seen)


def _shown_at(path: bytes) -> Shown:
    status = os.lstat(path)
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    content = ""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.sha256(file.read()).hexdigest()
        named = os.listxattr(path)
        xattrs = tuple(sorted((os.fsencode(n), os.getxattr(path, n)) for n in named))
    elif stat.S_ISLNK(status.st_mode):
        content = hashlib.sha256(os.readlink(path)).hexdigest()
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Shown(
        status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, xattrs, content
    )


def wrong(seen: Seen, expected: Seen) -> list[str]:
    """Return what was shown as right and is not: a list that should be empty.

    What is missing below a directory that cannot be listed is not held against it.
    """
    known = expected.keys() | {parent for path in expected for parent in parents(path)}
    found = [f"{path!r} was never there" for path in seen.keys() - known]
    for path, shown in expected.items():
        if path in seen:
            if seen[path] not in (EIO, shown):
                found.append(f"{path!r} is {seen[path]}, and was {shown}")
        elif not any(seen.get(parent) == EIO for parent in parents(path)):
            found.append(f"{path!r} is not there")
    return found


def parents(path: bytes) -> list[bytes]:
    """Return the directories that a path goes through."""
    parts = path.split(b"/")
    return [b"/".join(parts[:n]) for n in range(1, len(parts))]
