"""How a plan and its result travel between the daemon and the packer.

Both directions are a sequence of messages: 4 bytes of length, little-endian, then that many
bytes of MessagePack, an array whose first element is the kind.

To the packer: ``begin`` (once), ``items`` (any number), ``end``. From the packer: ``packed``
and ``failed`` (any number), then ``done``; or ``error`` alone. Items travel in batches, so that the
daemon encodes them without holding up its answering thread, and the packer begins with the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import msgspec

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.extents import ArchivedPiece, HolePiece, HotPiece
from djafs.packing.plan import FailedItem, PackedItem, PackItem, PackPlan, PackResult

BATCH = 256
"""Items in a message, at most."""

MOST_BYTES = 1 << 30
"""Length of a message, at most: more means that something else wrote into the pipe."""

Message = list[Any]
Read = Callable[[int], bytes]
"""Returns exactly so many bytes, or fewer at the end of the stream."""

_Row = TypeVar("_Row")
_PIECES: dict[int, Callable[..., Any]] = {6: HotPiece, 3: ArchivedPiece, 1: HolePiece}


class Begin(NamedTuple):
    """What the packer is told first."""

    root: str  # of the store, absolute
    archive: int
    level: int
    find_known: bool
    threads: int
    parent: int  # process id of the daemon


class WireError(ValueError):
    """The stream ended early, or holds something else than messages."""


def encode(kind: str, *fields: object) -> bytes:
    """Write one message."""
    body = msgspec.msgpack.encode((kind, *fields))
    return len(body).to_bytes(4, "little") + body


def read(stream: Read) -> Message:
    """Read one message. Raises WireError if there is none."""
    head = stream(4)
    length = int.from_bytes(head, "little")
    body = stream(length) if len(head) == 4 and length <= MOST_BYTES else b""
    if len(head) != 4 or len(body) != length:
        raise WireError("the stream ends in the middle of a message")
    try:
        message = msgspec.msgpack.decode(body, type=Message)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from None
    if not message:
        raise WireError("a message is empty")
    return message


def _batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def plan_messages(plan: PackPlan, begin: Begin) -> Iterator[bytes]:
    """Write a plan."""
    yield encode("begin", begin)
    for batch in _batches(plan.items):
        yield encode("items", batch)
    yield encode("end")


def read_plan(stream: Read) -> tuple[Begin, PackPlan]:
    """Read a plan; its items are read from the stream as they are asked for."""
    kind, *fields = read(stream)
    if kind != "begin":
        raise WireError(f"a plan begins with {kind!r}")
    begin = Begin(*fields[0])
    items = _read_items(stream)
    return begin, PackPlan(begin.archive, items, begin.level, begin.find_known)


def _read_items(stream: Read) -> Iterator[PackItem]:
    while True:
        kind, *fields = read(stream)
        if kind == "end":
            return
        for row in fields[0]:
            row[-1] = [_PIECES[len(piece)](*piece) for piece in row[-1]]
            yield PackItem._make(row)


def result_messages(result: PackResult) -> Iterator[bytes]:
    """Write a result."""
    for packed in _batches(result.items):
        yield encode("packed", packed)
    for failed in _batches(result.failed):
        yield encode("failed", failed)
    yield encode("done", result.metadata)


class ReportedError(Exception):
    """The packer says that it failed: a line of text and an errno, 0 if it has none."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def read_result(stream: Read) -> PackResult:
    """Read a result. Raises ReportedError if the packer reports an error instead."""
    items: list[PackedItem] = []
    failed: list[FailedItem] = []
    while True:
        kind, *fields = read(stream)
        if kind == "packed":
            items += [PackedItem(*row) for row in fields[0]]
        elif kind == "failed":
            failed += [FailedItem(*row) for row in fields[0]]
        elif kind == "done":
            metadata = msgspec.convert(fields[0], ArchiveMetadata | None)
            return PackResult(items, failed, metadata)
        elif kind == "error":
            raise ReportedError(fields[0], fields[1])
        else:
            raise WireError(f"a result holds {kind!r}")
