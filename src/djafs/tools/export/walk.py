"""What is to be written, in order: a directory before what is in it, a file before its links."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from djafs.model import Inode
from djafs.tools.export.view import View


class Item(NamedTuple):
    """A name of the tree; ``first`` is the path of a file that it is a further name of."""

    path: bytes  # relative to the top, which is empty
    name: bytes
    inode: Inode
    first: bytes | None = None


class Left(NamedTuple):
    """A directory whose contents have all been yielded."""

    path: bytes
    inode: Inode


def walk(view: View) -> Iterator[Item | Left]:
    """Yield the tree of a view."""
    links = sqlite3.connect("", isolation_level=None)  # a temporary file, removed by itself
    links.execute("CREATE TABLE link (ino INTEGER PRIMARY KEY, path BLOB)")
    yield Item(b"", b"", view.root)
    stack = [(b"", view.root, view.entries(view.root.ino))]
    try:
        while stack:
            path, directory, entries = stack[-1]
            found = next(entries, None)
            if found is None:
                stack.pop()
                yield Left(path, directory)
                continue
            below = path + b"/" + found.name if path else found.name
            inode = found.inode
            first = None
            if inode.nlink > 1 and not inode.is_directory:
                first = _first_name(links, inode.ino, below)
            yield Item(below, found.name, inode, first)
            if inode.is_directory:
                stack.append((below, inode, view.entries(inode.ino)))
    finally:
        links.close()


def _first_name(links: sqlite3.Connection, ino: int, path: bytes) -> bytes | None:
    row = links.execute("SELECT path FROM link WHERE ino = ?", (ino,)).fetchone()
    if row is None:
        links.execute("INSERT INTO link VALUES (?, ?)", (ino, path))
        return None
    return bytes(row[0])
