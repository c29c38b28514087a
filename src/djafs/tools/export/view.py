"""A tree at one moment, read from a store's index: by any process, mounted or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.errors import LockedError, UsageError
from djafs.model import Calendar, Inode
from djafs.store.identity import read_identity
from djafs.store.snapshots import ROOT, Found, Snapshots
from djafs.store.store import Store
from djafs.tools.export.content import Contents

NOW = date.max.toordinal()
"""Stands for the day of the live tree."""

PAGE = 1024

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


class View:
    """The tree at the end of ``day``, from directory ``root`` on."""

    def __init__(self, snapshots: Snapshots, contents: Contents, day: int, root: Inode) -> None:
        self._snapshots = snapshots
        self._day = day
        self.contents = contents
        self.root = root

    def entries(self, directory: int) -> Iterator[Found]:
        """Yield what a directory holds."""
        after = None
        while page := self._snapshots.entries(directory, after, PAGE, self._day):
            yield from page
            after = page[-1].place

    def again(self, state: Inode) -> Inode:
        """Return a state as the index has it now: packing may have moved its content."""
        return self._snapshots.version(state) or state


def split(text: str) -> tuple[str, int]:
    """Split ``STORE@YYYY-MM-DD`` into the path of a store and a day."""
    path, at, day = text.rpartition("@")
    match = _DAY.fullmatch(day)
    if not at or match is None:
        return text, NOW
    try:
        return path, date(*map(int, match.groups())).toordinal()
    except ValueError as error:
        raise UsageError(f"{day} is not a day") from error


@contextmanager
def open_view(path: str, day: int, below: bytes = b"") -> Iterator[View]:
    """Give the tree of the store at ``path`` (absolute), mounted or not.

    ``below`` is the path of a directory in it. Raises NotAStoreError, UsageError, and what
    opening a store raises. A mounted store is read as its index has it, a second ago at most.
    """
    layout = Layout(path)
    calendar = Calendar(read_identity(layout).zone())
    try:
        store = Store.open(path)
    except LockedError:
        with _view(layout, calendar, day, below) as view:
            yield view
        return
    try:
        store.syncer.flush()
        with _view(layout, calendar, day, below) as view:
            yield view
    finally:
        store.close()


@contextmanager
def _view(layout: Layout, calendar: Calendar, day: int, below: bytes) -> Iterator[View]:
    index = Index.open_read_only(layout)
    contents = Contents(layout, index)
    try:
        snapshots = Snapshots(index, calendar)
        contents.snapshots = snapshots
        first = snapshots.first_day()
        if day != NOW and (first is None or day < first):
            raise UsageError(
                f"{layout.root} has nothing of {date.fromordinal(day)}"
                + (f": it begins on {date.fromordinal(first)}" if first else "")
            )
        root = snapshots.inode(ROOT, day)
        for name in filter(None, below.split(b"/")):
            root = snapshots.lookup(root.ino, name, day) if root else None
        if root is None or not root.is_directory:
            raise UsageError(f"{layout.root} has no directory {below.decode(errors='replace')!r}")
        yield View(snapshots, contents, day, root)
    except sqlite.Error as error:
        raise UsageError(f"{layout.index} cannot be read: {error}") from error
    finally:
        contents.close()
        index.close()
