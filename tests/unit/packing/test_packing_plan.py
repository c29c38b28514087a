"""Plans, and how they travel."""

import io

import pytest

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.extents import ArchivedPiece, HolePiece, HotPiece
from djafs.packing import wire
from djafs.packing.plan import (
    FailedItem,
    PackedItem,
    PackItem,
    PackPlan,
    PackResult,
    member_name,
)

PIECES = [HotPiece(10, 1, 2, 2, 10, b"\xff" * 4), HolePiece(5), ArchivedPiece(7, 3, 512)]
ITEMS = [
    PackItem(number, b"caf\xe9/%d" % number, -number, 0o644, 1, 2, PIECES[: number % 4])
    for number in range(1000)
]
BEGIN = wire.Begin("/store", 17, 9, True, 2, 4711)
METADATA = ArchiveMetadata(
    archive=17, members=1, content_bytes=1, tar_bytes=1536, compressed_bytes=99, frames=1,
    oldest_ns=-5, newest_ns=5, level=9, sha256="00", created_ns=1,
)  # fmt: skip


def test_the_size_of_an_item_is_that_of_its_pieces():
    assert ITEMS[3].size == 22
    assert ITEMS[0].size == 0


def test_names_of_parts_sort_as_the_parts_do():
    assert member_name(b"a.json", 0, 1) == b"a.json"
    names = [member_name(b"a.json", part, 12) for part in range(12)]
    assert names[11] == b"a.json.part-00011"
    assert names == sorted(names)


def test_a_plan_arrives_as_it_was_sent():
    sent = io.BytesIO(b"".join(wire.plan_messages(PackPlan(17, ITEMS), BEGIN)))
    begin, plan = wire.read_plan(sent.read)
    assert begin == BEGIN
    assert (plan.archive, plan.level, plan.find_known) == (17, 9, True)
    received = list(plan.items)
    assert received == ITEMS
    assert [type(piece) for piece in received[3].pieces] == [HotPiece, HolePiece, ArchivedPiece]


@pytest.mark.parametrize("metadata", [None, METADATA])
def test_a_result_arrives_as_it_was_sent(metadata: ArchiveMetadata | None):
    result = PackResult(
        [
            PackedItem(1, b"d" * 32, 10, at=512),
            PackedItem(2, b"d" * 32, 10, same_as=1),
            PackedItem(3, b"e" * 32, 10, content=99),
        ]
        * 200,
        [FailedItem(4, "hot segment 3 is damaged")],
        metadata,
    )
    sent = io.BytesIO(b"".join(wire.result_messages(result)))
    assert wire.read_result(sent.read) == result


def test_an_error_arrives_as_an_error():
    sent = io.BytesIO(wire.encode("error", "No space left on device", 28))
    with pytest.raises(wire.ReportedError, match="No space left") as caught:
        wire.read_result(sent.read)
    assert caught.value.code == 28


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\x05\0\0",
        b"\x05\0\0\0ab",
        b"\xff\xff\xff\xff" + b"x" * 100,
        b"\x01\0\0\0\xc1",
        b"\x01\0\0\0\x90",
        b"\x02\0\0\0{}",
        wire.encode("items", []),
    ],
)
def test_what_is_no_stream_of_messages_is_refused(stream: bytes):
    with pytest.raises(wire.WireError):
        wire.read_result(io.BytesIO(stream).read)
    with pytest.raises(wire.WireError):
        wire.read_plan(io.BytesIO(stream).read)


def test_a_plan_that_is_cut_off_is_refused():
    sent = b"".join(list(wire.plan_messages(PackPlan(17, ITEMS), BEGIN))[:-1])
    _, plan = wire.read_plan(io.BytesIO(sent).read)
    with pytest.raises(wire.WireError):
        list(plan.items)
