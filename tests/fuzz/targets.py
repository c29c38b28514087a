"""What is fuzzed: readers of bytes that somebody else may have written.

Each target takes any bytes, and returns: what is not what djafs wrote is refused with a named
error. Any other exception is a finding.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import zstandard

from djafs.disk import records, seek_table, sqlite, tar
from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_scan import problems
from djafs.disk.checkpoint import CheckpointReader
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import START, Position, seal
from djafs.disk.lookup_reader import LookupReader, holds, last_mark, segment_start
from djafs.errors import DjafsError
from djafs.fuse import wire
from djafs.fuse.operations import OPERATIONS
from djafs.fuse.requests import MALFORMED
from djafs.model import LIVE_ROOT, Calendar
from djafs.store.changes import Changes
from djafs.store.plausible import MISFITS, Plausible
from djafs.store.tree import Tree

STORE = "3f5c5a26-6c7e-4c36-8d4c-0e9a2e5d4a11"
T = 10**18


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    """Give a directory in memory, if there is one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = tempfile.mkdtemp(prefix="djafs-fuzz-", dir=memory)
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path)


def log(data: bytes) -> None:
    """Read ``data`` as a segment of the lookup log, behind a first line that is right."""
    first = records.Segment(1, T, format=1, store=STORE, number=1, chain=0)
    with _place() as place:
        layout = Layout(str(place))
        os.mkdir(layout.lookups)
        line, _ = seal(records.encode(first), 0)
        Path(layout.lookup_segment(1)).write_bytes(line + data)
        for _ in LookupReader(layout, STORE, START):
            pass
        Path(layout.lookup_segment(2)).write_bytes(data)
        with contextlib.suppress(DjafsError):
            segment_start(layout, 2)
        last_mark(layout, 2)
        holds(layout, Position(2, len(data), 1, 1))


def replay(data: bytes) -> None:
    """Replay lines of ``data`` as records that follow a file and a directory."""
    index = Index.create(sqlite.MEMORY)
    tree = Tree(index, Calendar())
    changes, check = Changes(tree), Plausible(tree).check
    for ino, name, mode in ((LIVE_ROOT, "", 0o40755), (3, "d", 0o40755), (4, "f", 0o100644)):
        changes.apply(records.Create(ino, T, LIVE_ROOT * bool(name), name, ino, mode, 0, 0))
    for number, line in enumerate(data.splitlines(), 10):
        try:
            record = records.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        record.seq = number
        try:
            check(record)
            changes.apply(record)
        except MISFITS:
            break
    index.close()


def archive(data: bytes) -> None:
    """Read ``data`` as an archive, at random and from end to end."""
    with _place() as place:
        path = str(place / "00000001.tar.zst")
        Path(path).write_bytes(data)
        with contextlib.suppress(DjafsError):
            reader = ArchiveReader(path)
            with contextlib.suppress(DjafsError):
                reader.read(512, 100)
            reader.close()
        with contextlib.suppress(DjafsError):
            problems(path)


def table(data: bytes) -> None:
    """Read ``data`` as the end of an archive."""
    with contextlib.suppress(seek_table.SeekTableError):
        if seek_table.tail_size(data[-seek_table.FOOTER_SIZE :]) <= len(data):
            seek_table.decode(data, len(data) * 10)


def member(data: bytes) -> None:
    """Read ``data`` as the header of a member, and as a pax header."""
    pax: dict[bytes, bytes] = {}
    with contextlib.suppress(tar.TarFormatError):
        pax = tar.parse_pax(data[tar.BLOCK :])
    with contextlib.suppress(tar.TarFormatError):
        tar.parse_entry(_summed(data[: tar.BLOCK]), pax)
    with contextlib.suppress(tar.TarFormatError):
        tar.parse(data[: tar.BLOCK])


def _summed(block: bytes) -> bytes:
    """Give a header the checksum that it should have."""
    block = block.ljust(tar.BLOCK, b"\0")
    total = sum(block[:148]) + sum(block[156:]) + 8 * 32
    return block[:148] + b"%06o\0 " % total + block[156:]


def checkpoint(data: bytes) -> None:
    """Read lines of ``data`` as a checkpoint, with the sums that they should have."""
    chain, body = 0, b""
    for line in data.splitlines():
        if line.startswith(b"{") and line.endswith(b"}"):
            sealed, chain = seal(line, chain)
            body += sealed
        else:
            body += line + b"\n"
    with _place() as place:
        path = str(place / "00000001.djfc.zst")
        Path(path).write_bytes(zstandard.ZstdCompressor().compress(body))
        with contextlib.suppress(DjafsError):
            reader = CheckpointReader(path, STORE)
            try:
                for _ in reader:
                    pass
            finally:
                reader.close()


def request(data: bytes) -> None:
    """Read ``data`` as a request of the kernel; its first byte says which."""
    operations = list(OPERATIONS.values())
    operation = operations[data[0] % len(operations)] if data else operations[0]
    message = bytearray(wire.REQUEST_HEADER.size) + data[1:]
    if len(message) < operation.smallest:
        return
    with contextlib.suppress(*MALFORMED):
        operation.decode(message, len(message))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "log": log,
    "replay": replay,
    "archive": archive,
    "table": table,
    "member": member,
    "checkpoint": checkpoint,
    "request": request,
}
