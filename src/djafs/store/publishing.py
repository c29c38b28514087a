"""Giving archives their names."""

from __future__ import annotations

import os

from djafs.disk import archive_metadata
from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.host import Host
from djafs.disk.layout import Layout


def publish(host: Host, layout: Layout, metadata: ArchiveMetadata) -> None:
    """Give a finished archive, which is durable already, its name."""
    path = layout.archive_metadata(metadata.archive)
    descriptor = host.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "djfm.create")
    try:
        host.pwrite(descriptor, archive_metadata.encode(metadata), 0, "djfm.write")
        host.sync(descriptor, "djfm.sync")
    finally:
        host.close(descriptor)
    host.rename(path + ".tmp", path, "djfm.rename")
    draft = layout.archive_draft(metadata.archive)
    host.rename(draft, layout.archive(metadata.archive), "archive.rename")
    host.sync_directory(layout.archives, "archive.sync-directory")
