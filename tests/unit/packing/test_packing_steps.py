"""The steps from a plan to an archive that can be trusted."""

import hashlib
import os
import random
from collections.abc import Iterable

import pytest

from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_scan import ArchiveScan, problems
from djafs.disk.archive_writer import ArchiveWriter
from djafs.disk.host import Host
from djafs.disk.tar import Entry
from djafs.errors import PackingError
from djafs.extents import CHUNK, PART, ArchivedPiece, HolePiece
from djafs.packing.pack import pack
from djafs.packing.pieces import STEP, PieceReader
from djafs.packing.plan import FailedItem, PackItem, PackPlan, PackResult, member_name


def nothing_known(_: bytes) -> None:
    return None


def run(store, items: Iterable[PackItem], known=nothing_known, **options) -> PackResult:
    return pack(PackPlan(1, items, level=1, **options), store.layout, known)


def read(store, at: int, size: int) -> bytes:
    reader = ArchiveReader(store.layout.archive_draft(1))
    try:
        return reader.read(at, size)
    finally:
        reader.close()


def test_each_new_content_is_in_the_draft(store):
    contents = {key: b"{%d}" % key * 50 * key for key in range(30)}
    result = run(store, [store.item(key, content) for key, content in contents.items()])
    assert result.failed == []
    for packed in result.items:
        content = contents[packed.key]
        assert packed.digest == hashlib.sha256(content).digest()
        assert packed.size == len(content)
        assert (packed.content, packed.same_as) == (None, None)
        assert packed.at is not None
        assert read(store, packed.at, packed.size) == content
    assert result.metadata is not None
    assert result.metadata.members == 30
    assert store.archive_names() == ["00000001.tar.zst.tmp"]
    assert problems(store.layout.archive_draft(1)) == []


def test_equal_contents_of_a_plan_are_written_once(store):
    items = [store.item(key, b"same" * (key % 2 + 1)) for key in range(6)]
    result = run(store, items)
    assert [packed.same_as for packed in result.items] == [None, None, 0, 1, 0, 1]
    assert [packed.at is None for packed in result.items] == [False, False, True, True, True, True]
    assert result.metadata is not None
    assert result.metadata.members == 2


def test_contents_of_the_store_are_not_written_again(store):
    known = {hashlib.sha256(b"old").digest(): 99}
    items = [store.item(1, b"old"), store.item(2, b"new"), store.item(3, b"old")]
    result = run(store, items, known.get)
    assert [(packed.content, packed.at is None) for packed in result.items] == [
        (99, True), (None, False), (99, True),
    ]  # fmt: skip


def test_a_plan_without_new_contents_makes_no_archive(store):
    result = run(store, [store.item(1, b"old")], lambda digest: 99)
    assert result.items[0].content == 99
    assert result.metadata is None
    assert store.archive_names() == []


def test_a_plan_without_items_makes_no_archive(store):
    assert run(store, []) == PackResult()


def test_compaction_moves_contents_that_are_known(store):
    result = run(store, [store.item(1, b"old")], lambda digest: 99, find_known=False)
    assert result.items[0].content is None
    assert result.items[0].at == 512


def test_a_damaged_item_is_set_aside_and_the_rest_goes_on(store):
    items = [store.item(key, b"content %d" % key) for key in range(3)]
    store.damage(items[1].pieces[0])
    items.append(items[0]._replace(key=3, pieces=[ArchivedPiece(10, 77, 512)]))
    items.append(items[0]._replace(key=4, name=b"/not/a/name", pieces=[store.hot_piece(b"x")]))
    result = run(store, items)
    assert [packed.key for packed in result.items] == [0, 2]
    assert [failed.key for failed in result.failed] == [1, 3, 4]
    assert "damaged" in result.failed[0].message
    assert "00000077.tar.zst is missing" in result.failed[1].message
    assert "/not/a/name" in result.failed[2].message
    assert isinstance(result.failed[0], FailedItem)
    assert result.metadata is not None
    assert result.metadata.members == 2


def test_an_item_that_only_fails_leaves_no_archive(store):
    result = run(store, [store.item(1, b"abc")._replace(name=b"dir/")])
    assert len(result.failed) == 1
    assert result.metadata is None
    assert store.archive_names() == []


def test_pieces_from_everywhere_make_one_content(store):
    chance = random.Random(1)
    archived = chance.randbytes(700_000)
    writer = ArchiveWriter(Host(), store.layout.archive(5))
    member = writer.add(Entry(b"old", len(archived), 0, 0, 0, 0), [archived])
    writer.finish()
    hot = chance.randbytes(3 * STEP + 12_345)
    piece = store.hot_piece(hot)
    inside = piece._replace(at=piece.at + CHUNK + 7, length=2 * STEP)
    pieces = [
        inside,
        HolePiece(STEP + 5),
        ArchivedPiece(300_000, 5, member.at + 1000),
        piece._replace(at=piece.at + 3, length=1),
        HolePiece(1),
    ]
    content = (
        hot[CHUNK + 7 : CHUNK + 7 + 2 * STEP]
        + bytes(STEP + 5)
        + archived[1000:301_000]
        + hot[3:4]
        + bytes(1)
    )
    reader = PieceReader(store.layout)
    chunks = list(reader.chunks(pieces))
    reader.close()
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= STEP
    result = run(store, [store.item(1, b"")._replace(pieces=pieces)])
    assert result.items[0].digest == hashlib.sha256(content).digest()
    assert read(store, result.items[0].at, len(content)) == content


def test_no_chunk_of_the_hot_log_is_read_twice(store, monkeypatch):
    piece = store.hot_piece(bytes(3 * STEP))
    reader = PieceReader(store.layout)
    reads = []
    monkeypatch.setattr(
        reader._hot,
        "read",
        lambda segment, at, length, *rest: reads.append((at - piece.at, length)),
    )
    list(reader.chunks([piece._replace(at=piece.at + 100, length=2 * STEP)]))
    reader.close()
    assert reads == [(100, STEP - 100), (STEP, STEP), (2 * STEP, 100)]


def test_parts_of_a_large_file_are_members_that_cat_joins(store):
    chance = random.Random(2)
    content = chance.randbytes(STEP) * (PART // STEP) + b"the end"
    items = [
        store.item(part, content[part * PART : (part + 1) * PART], member_name(b"large", part, 2))
        for part in range(2)
    ]
    result = run(store, items)
    assert [packed.size for packed in result.items] == [PART, 7]
    names = [member.name for member in ArchiveScan(store.layout.archive_draft(1))]
    assert names == [b"large.part-00000", b"large.part-00001"]


def test_an_item_larger_than_a_part_is_a_fault_of_the_plan(store):
    item = store.item(1, b"")._replace(pieces=[HolePiece(PART + 1)])
    with pytest.raises(PackingError, match="more than a part"):
        run(store, [item])
    assert store.archive_names() == []


class FlippingHost(Host):
    """Writes one byte other than it was told to."""

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        super().pwrite(descriptor, data, offset, label)
        if offset <= self.offset < offset + len(data):
            flipped = data[self.offset - offset] ^ 0x10
            os.pwrite(descriptor, bytes([flipped]), self.offset)


@pytest.mark.parametrize("offset", [0, 5, 1000, 1_000_000])
def test_what_does_not_read_back_is_not_reported_and_removed(store, offset: int):
    content = random.Random(3).randbytes(1_100_000)
    plan = PackPlan(1, [store.item(1, content)], level=1)
    with pytest.raises(PackingError, match=r"does not read back: archive .* is damaged at byte"):
        pack(plan, store.layout, nothing_known, host=FlippingHost(offset))
    assert store.archive_names() == []


def test_a_failure_in_the_middle_removes_the_draft(store):
    def items() -> Iterable[PackItem]:
        assert store.archive_names() == []  # begun with the first new content, not before
        yield store.item(1, b"abc")
        assert store.archive_names() == ["00000001.tar.zst.tmp"]
        raise RuntimeError("the planner failed")

    with pytest.raises(RuntimeError):
        run(store, items())
    assert store.archive_names() == []
