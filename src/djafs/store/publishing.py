"""Giving archives their names, and letting them go."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from djafs.disk import archive_metadata
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.host import Host
from djafs.disk.layout import Layout

if TYPE_CHECKING:  # what writes archives in another process needs no store
    from djafs.store.store import Store


def publish(host: Host, layout: Layout, metadata: ArchiveMetadata) -> None:
    """Give a finished archive, which is durable already, its name.

    Raises OSError, and then no draft is left.
    """
    path, draft = layout.archive_metadata(metadata.archive), layout.archive_draft(metadata.archive)
    try:
        _write(host, path + ".tmp", archive_metadata.encode(metadata))
        host.rename(path + ".tmp", path, "djfm.rename")
        host.rename(draft, layout.archive(metadata.archive), "archive.rename")
    except OSError:
        for left in (path + ".tmp", draft):
            with contextlib.suppress(OSError):
                host.unlink(left, "archive.unlink")
        raise
    host.sync_directory(layout.archives, "archive.sync-directory")


def retire(store: Store, gone: list[int]) -> int:
    """Remove the files of archives that the log has dropped; return the bytes they had."""
    store.syncer.flush()
    if not store.syncer.confirm():
        return 0  # the next mount removes them
    freed = 0
    for archive in gone:
        path = store.layout.archive(archive)
        with contextlib.suppress(FileNotFoundError):
            freed += os.path.getsize(path)
            store.host.unlink(path, "compaction.unlink")
        with contextlib.suppress(FileNotFoundError):
            store.host.unlink(store.layout.archive_metadata(archive), "compaction.unlink-djfm")
        with contextlib.suppress(FileNotFoundError):
            store.host.unlink(store.layout.archive_parity(archive), "compaction.unlink-parity")
        store.content.archives.forget(archive)
    if gone:
        store.host.sync_directory(store.layout.archives, "compaction.sync-directory")
    return freed


def _write(host: Host, path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    descriptor = host.open(path, flags, "djfm.create")
    try:
        host.pwrite(descriptor, content, 0, "djfm.write")
        host.sync(descriptor, "djfm.sync")
    finally:
        host.close(descriptor)
