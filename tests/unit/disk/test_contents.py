"""Contents share rows: each is found by its number, its SHA-256 and its archive."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djafs.disk import contents, sqlite
from djafs.disk.batch import ContentRow
from djafs.disk.content_writer import update_contents
from djafs.disk.index import Index

PLACES = st.one_of(st.integers(0, 1 << 20).map(lambda block: block * 512), st.integers(0, 1 << 53))
ROWS = st.builds(
    ContentRow,
    st.binary(min_size=32, max_size=32),
    st.sampled_from([0, 1, 2, 70_000, 1 << 40]),
    PLACES,
    st.one_of(st.integers(0, 1 << 17), st.integers(0, (1 << 63) - 1)),
)


@given(
    st.integers(0, 1 << 40), st.dictionaries(st.integers(0, contents.GROUP - 1), ROWS, min_size=1)
)
def test_what_is_packed_comes_back(row: int, slots: dict[int, ContentRow]):
    held = {row * contents.GROUP + slot: content for slot, content in slots.items()}
    stored = contents.pack(row, held)
    assert contents.unpack(row, stored) == held
    for cid in range(row * contents.GROUP, (row + 1) * contents.GROUP):
        assert contents.pick(cid, stored) == held.get(cid)


def document(number: int, archive: int = 1) -> ContentRow:
    digest = hashlib.sha256(b"%d" % number).digest()
    return ContentRow(digest, archive, 512 + 3072 * number, 2400 + number)


@given(
    st.integers(0, 1 << 30),
    st.integers(1, 300),
    st.dictionaries(st.integers(0, contents.GROUP - 1), st.integers(0, 1 << 17), min_size=2),
)
def test_places_that_follow_from_the_sizes_take_no_room(
    first: int, gap: int, sizes: dict[int, int]
):
    held = {}
    for slot in sorted(sizes):
        held[slot] = ContentRow(hashlib.sha256(b"%d" % slot).digest(), 3, first * 512, sizes[slot])
        first += gap - -sizes[slot] // 512
    stored = contents.pack(0, held)
    assert contents.unpack(0, stored) == held
    assert all(contents.pick(slot, stored) == content for slot, content in held.items())
    if gap < 253:
        widest = 4 if max(sizes.values()) - min(sizes.values()) >= 1 << 16 else 2
        assert len(stored) <= 32 + (32 + widest) * len(held)


def test_rows_of_documents_fill_a_page():
    stored = contents.pack(0, {number: document(number) for number in range(contents.GROUP)})
    record = len(stored) + 10  # what SQLite adds: lengths, the number of the row, its place
    assert 0.98 < 9 * record / (8192 - 8 - sqlite.RESERVED) <= 1


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: s[:20], lambda s: b"\xff" + s[1:]])
def test_a_row_that_is_damaged_is_refused(damage):
    stored = damage(contents.pack(3, {75: document(1), 76: document(2)}))
    with pytest.raises(ValueError, match="row 3 of contents"):
        contents.unpack(3, stored)
    with pytest.raises(ValueError, match="row 3 of contents"):
        contents.pick(75, stored)


def test_contents_are_found_and_go():
    index = Index.create(sqlite.MEMORY)
    update_contents(index.connection, {number: document(number) for number in range(1, 100)})
    assert [cid for cid, _ in index.contents()] == list(range(1, 100))
    assert index.find_content(document(40).digest) == 40
    update_contents(index.connection, {40: document(40, 2), 41: None, 72: document(72, 2)})
    assert index.content(41) is None
    assert index.find_content(document(41).digest) is None
    assert [cid for cid, _ in index.contents_of(2)] == [40, 72]
    assert len(index.contents_of(1)) == 96
    assert index.archives() == [1, 2]
    update_contents(index.connection, dict.fromkeys(range(1, 100)))
    assert index.archives() == []
    assert not any(
        index.connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in ("content", "digest", "held")
    )
    index.close()


def test_equal_contents_in_one_row_stay_found_when_one_goes():
    index = Index.create(sqlite.MEMORY)
    update_contents(index.connection, {1: document(5), 2: document(5)})
    update_contents(index.connection, {1: None})
    assert index.find_content(document(5).digest) == 2
    index.close()
