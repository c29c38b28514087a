"""Compressing a segment of the lookup log that is full: ``NNNNNNNN.djfl.zst``.

The plain segment goes only when the compressed one has been read back and has its name, so that
there is always one of them that is whole; while there are both, readers take the plain one. What
comes of a crash in between is made anew the next time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import zstandard

from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import LookupLogDamageError

LEVEL = 1
"""Of zstd. Log lines end in random digits: on them, higher levels find matches that cost more than
they save (18 % of the size at level 1, 22 at 3, 20 at 9)."""

STEP = 1 << 20


def close_segment(host: Host, layout: Layout, number: int) -> None:
    """Compress segment ``number``, which nobody writes any more and which is durable.

    Raises OSError, and LookupLogDamageError when what was written does not read back.
    """
    plain, closed = layout.lookup_segment(number), layout.closed_lookup_segment(number)
    draft = closed + ".tmp"
    write_compressed(host, draft, _chunks(plain), "lookup-close", os.path.getsize(plain))
    drop_from_memory(draft)
    if not _same(plain, draft):
        raise LookupLogDamageError(f"{draft} does not read back as what was written")
    host.rename(draft, closed, "lookup-close.rename")
    host.sync_directory(layout.lookups, "lookup-close.sync-directory")
    host.unlink(plain, "lookup-close.unlink")


def write_compressed(
    host: Host, path: str, chunks: Iterator[bytes], label: str, size: int = -1
) -> None:
    """Write ``chunks`` (``size`` bytes in all, -1 if that is not known) to ``path``, durably."""
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compressobj(size)
    descriptor = host.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, f"{label}.create")
    try:
        at = 0
        for chunk in chunks:
            if data := compressor.compress(chunk):
                host.pwrite(descriptor, data, at, f"{label}.write")
                at += len(data)
        host.pwrite(descriptor, compressor.flush(), at, f"{label}.write")
        host.sync(descriptor, f"{label}.sync")
    finally:
        host.close(descriptor)


def drop_from_memory(path: str) -> None:
    """Ask the kernel to forget its copy of a synced file, so that reading it reads the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(STEP):
            yield chunk


def _same(plain: str, closed: str) -> bool:
    with open(plain, "rb") as one, open(closed, "rb") as file:
        other = zstandard.ZstdDecompressor().stream_reader(file)
        try:
            while True:
                chunk = one.read(STEP)
                if chunk != _read_full(other, len(chunk) or 1):
                    return False
                if not chunk:
                    return True
        except zstandard.ZstdError:
            return False


def _read_full(stream: zstandard.ZstdDecompressionReader, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = stream.read(size - len(found))
        if not more:
            break
        found += more
    return found
