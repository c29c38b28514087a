"""Trees of real documents, and what there is to tell two trees apart."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path
from typing import NamedTuple

FIXTURES = Path(__file__).parents[1] / "fixtures"


class Node(NamedTuple):
    """Everything of a file, directory or symlink that a copy of it has to keep."""

    mode: int
    uid: int
    gid: int
    size: int | None  # None for a directory, whose size is the filesystem's own business
    mtime: int
    content: str | bytes | None  # SHA-256 of a regular file, target of a symlink


def unpack(name: str, into: Path) -> Path:
    """Unpack ``fixtures/NAME.tar.zst`` in ``into``; return the directory that it makes."""
    into.mkdir(exist_ok=True)
    archive = FIXTURES / f"{name}.tar.zst"
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", into], check=True)
    return into / name


def walk(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield what is below ``root``: paths relative to it, and what lstat says."""
    base = os.fsencode(root)
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        for name in os.listdir(os.path.join(base, directory)):
            path = os.path.join(directory, name)
            status = os.lstat(os.path.join(base, path))
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)


def tree(root: Path) -> dict[bytes, Node]:
    """Return everything below ``root``, by path."""
    found = {}
    for path, status in walk(root):
        full = os.path.join(os.fsencode(root), path)
        content: str | bytes | None = None
        if stat.S_ISREG(status.st_mode):
            content = sha256(full)
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(full)
        size = None if stat.S_ISDIR(status.st_mode) else status.st_size
        found[path] = Node(
            status.st_mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, content
        )
    return found


def files(root: Path) -> dict[bytes, str]:
    """Return the SHA-256 of every regular file below ``root``, by path."""
    return {
        path: sha256(os.path.join(os.fsencode(root), path))
        for path, status in walk(root)
        if stat.S_ISREG(status.st_mode)
    }


def sha256(path: bytes | Path) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def day_of(mtime: int) -> date:
    """Return the day of a time in nanoseconds, UTC."""
    return datetime.fromtimestamp(mtime // 10**9, timezone.utc).date()


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    """Return a time in nanoseconds, UTC, with digits behind the seconds."""
    return (
        int(datetime(year, month, day, hour, tzinfo=timezone.utc).timestamp()) * 10**9 + 123456789
    )


def set_mtime(path: bytes | Path, mtime: int) -> None:
    """Set a modification time, that of a symlink itself too."""
    os.utime(path, ns=(mtime, mtime), follow_symlinks=False)
