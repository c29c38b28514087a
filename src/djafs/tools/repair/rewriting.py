"""Writing a new archive for what a repair has saved."""

from __future__ import annotations

import os
from contextlib import suppress

from djafs.disk import archive_metadata, tar
from djafs.disk.archive_writer import ArchiveWriter, Member
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError
from djafs.packing.pack import read_back
from djafs.packing.packer import default_threads
from djafs.store.aside import Aside
from djafs.store.repairing import Publish

_LEVEL = 9
"""Of zstd, where that of the damaged archive is not known."""


class Rewriting:
    """One new archive, begun with the first content; equal contents are stored once."""

    def __init__(self, host: Host, layout: Layout, aside: Aside, name: str, instead: int) -> None:
        """Write it as draft ``name`` beside what is kept aside, ``instead`` of an archive."""
        self._host, self._layout, self._aside = host, layout, aside
        self._name = f"{name}.tar.zst.tmp"
        self._instead = instead
        self._writer: ArchiveWriter | None = None
        self._written: list[Member] = []
        self._places: dict[bytes, int] = {}

    def add(self, entry: tar.Entry, data: bytes, digest: bytes) -> int:
        """Add a content whose SHA-256 was just verified; return where in the tar it is."""
        if digest in self._places:
            return self._places[digest]
        member = self._begun().add(entry, [data], digest)
        self._written.append(member)
        self._places[digest] = member.at
        return member.at

    @property
    def _draft(self) -> str:
        return os.path.join(self._aside.path, self._name)

    def _begun(self) -> ArchiveWriter:
        if self._writer is None:
            self._aside.prepare()
            self._writer = ArchiveWriter(
                self._host, self._draft, level=self._level(), threads=default_threads()
            )
        return self._writer

    def _level(self) -> int:
        path = self._layout.archive_metadata(self._instead)
        with suppress(OSError, ArchiveDamageError), open(path, "rb") as file:
            return archive_metadata.decode(file.read(1 << 20), path).level or _LEVEL
        return _LEVEL

    def finish(self) -> Publish | None:
        """Make the archive durable, and read it back; None if there is nothing in it.

        Raises OSError, ArchiveDamageError.
        """
        if self._writer is None:
            return None
        metadata = self._writer.finish()
        read_back(self._draft, self._written, metadata)
        return Publish(os.path.relpath(self._draft, self._layout.root), metadata)
