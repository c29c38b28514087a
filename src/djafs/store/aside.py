"""Damaged originals, kept aside in ``damaged/`` while a repair takes their place.

Each keeps the path that it had in the store, below a directory that is named after the time of
the repair. Nothing in there is used by the store; removing it costs no more than the chance to
look at the originals again.
"""

from __future__ import annotations

import contextlib
import os
import time

from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import NotAStoreError


class Aside:
    """The directory of one repair; it is made when the first file comes into it."""

    def __init__(self, host: Host, layout: Layout, name: str | None = None) -> None:
        """Use the directory ``name`` of ``damaged/``, or a new one named after the time."""
        self._host = host
        self._layout = layout
        self.name = name or _unused(layout)
        self.path = os.path.join(layout.damaged, self.name)

    def prepare(self, *below: str) -> str:
        """Make the directory, and one ``below`` it, durably; return its path.

        Raises NotAStoreError where something else is, such as a link that leads out of the store.
        """
        path = parent = os.path.normpath(os.path.join(self.path, *below))
        missing = []
        while parent != self._layout.root:
            if not os.path.lexists(parent):
                missing.append(parent)
            elif os.path.islink(parent) or not os.path.isdir(parent):
                raise NotAStoreError(f"{parent} is not a directory: move it away")
            parent = os.path.dirname(parent)
        for directory in reversed(missing):
            self._host.mkdir(directory, "repair.mkdir")
            self._host.sync_directory(os.path.dirname(directory), "repair.sync-directory")
        return path

    def keep(self, *paths: str) -> None:
        """Give files of the store a second name here, durably; those that are gone are left out."""
        directories = set()
        for path in paths:
            if not os.path.lexists(path) or os.path.isdir(path):
                continue
            where = os.path.relpath(path, self._layout.root)
            directory = self.prepare(os.path.dirname(where))
            with contextlib.suppress(FileExistsError):  # by a repair that was interrupted
                self._host.link(
                    path, os.path.join(directory, os.path.basename(path)), "repair.link"
                )
            directories.add(directory)
        for directory in directories:
            self._host.sync_directory(directory, "repair.sync-directory")

    def replace(self, draft: str, path: str) -> None:
        """Put a durable draft in the place of a file, which is kept."""
        self.keep(path)
        self._host.rename(draft, path, "repair.rename")
        self._host.sync_directory(os.path.dirname(path), "repair.sync-directory")

    def remove(self, *paths: str) -> None:
        """Take files out of the store; they are kept here."""
        self.keep(*paths)
        for path in paths:
            if os.path.lexists(path):
                self._host.unlink(path, "repair.unlink")
        for directory in {os.path.dirname(path) for path in paths}:
            self._host.sync_directory(directory, "repair.sync-directory")


def write_durably(host: Host, path: str, content: bytes) -> None:
    """Write a draft, and make it durable; the name is for whoever renames it."""
    descriptor = host.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "repair.create")
    try:
        host.pwrite(descriptor, content, 0, "repair.write")
        host.sync(descriptor, "repair.sync")
    finally:
        host.close(descriptor)


def _unused(layout: Layout) -> str:
    stamp = name = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    count = 1
    while os.path.lexists(os.path.join(layout.damaged, name)):
        count += 1
        name = f"{stamp}-{count}"
    return name
