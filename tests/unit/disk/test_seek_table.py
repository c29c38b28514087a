"""The seek table: what is written is read, and nothing else is."""

import itertools
import struct
import zlib
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djafs.disk import seek_table
from djafs.disk.seek_table import FRAME, MOST_COMPRESSED, SeekTableError

rows = st.lists(
    st.tuples(
        st.integers(1, MOST_COMPRESSED), st.integers(1, FRAME), st.integers(0, (1 << 32) - 1)
    ),
    max_size=50,
)


def encode(frames: list[tuple[int, int, int]]) -> bytes:
    columns = [array("I", column) for column in zip(*frames, strict=True)]
    return seek_table.encode(*(columns or [array("I")] * 3))


def decode(tail: bytes, frames: list[tuple[int, int, int]]) -> seek_table.SeekTable:
    return seek_table.decode(tail, sum(row[0] for row in frames) + len(tail))


@given(rows)
def test_what_is_encoded_is_decoded(frames: list[tuple[int, int, int]]):
    tail = encode(frames)
    assert seek_table.tail_size(tail[-seek_table.FOOTER_SIZE :]) == len(tail)
    table = decode(tail, frames)
    assert table.frames == len(frames)
    assert list(table.checksums) == [row[2] for row in frames]
    assert [b - a for a, b in itertools.pairwise(table.file)] == [row[0] for row in frames]
    at = 0
    for number, (_, size, _) in enumerate(frames):
        assert table.frame_at(at) == table.frame_at(at + size - 1) == number
        at += size
    assert table.tar_size == at


def test_the_bytes_are_those_of_the_format_page():
    tail = encode([(100, 512, 0xDEADBEEF)])
    assert tail[:4] == b"\x5d\x2a\x4d\x18"
    assert tail[4:16] == b"\x0c\0\0\0djafs\0\0\1"
    assert tail[16:20] == zlib.crc32(tail[20:]).to_bytes(4, "little")
    assert tail[20:] == struct.pack(
        "<II III III IBI",
        0x184D2A5E, 33, 100, 512, 0xDEADBEEF, 20, 0, 0x51D8E999, 2, 0x80, 0x8F92EAB1,
    )  # fmt: skip


def test_every_flipped_bit_is_noticed():
    frames = [(100, 512, 1), (200, 1024, 2)]
    tail = encode(frames)
    for position in range(len(tail) * 8):
        damaged = bytearray(tail)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(SeekTableError):
            read_as_a_reader_does(bytes(damaged), 300)


def read_as_a_reader_does(tail: bytes, before: int) -> seek_table.SeekTable:
    size = seek_table.tail_size(tail[-seek_table.FOOTER_SIZE :])
    if size != len(tail):
        raise SeekTableError("another size")
    return seek_table.decode(tail, before + len(tail))


def forge(*rows: tuple[int, int, int]) -> bytes:
    """Seal a table with any content."""
    entries = b"".join(struct.pack("<III", *row) for row in rows)
    table = struct.pack("<II", 0x184D2A5E, len(entries) + 9) + entries
    table += struct.pack("<IBI", len(rows), 0x80, 0x8F92EAB1)
    return struct.pack("<II8sI", 0x184D2A5D, 12, b"djafs\0\0\1", zlib.crc32(table)) + table


SEAL = (20, 0, 0x51D8E999)


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        ([(100, FRAME + 1, 0), SEAL], "impossible size"),
        ([(100, 0, 0), SEAL], "impossible size"),
        ([(0, 512, 0), SEAL], "impossible size"),
        ([(MOST_COMPRESSED + 1, 512, 0), SEAL], "impossible size"),
        ([(0xFFFFFFFF, 0xFFFFFFFF, 0), SEAL], "impossible size"),
        ([(99, 512, 0), SEAL], "its size"),
        ([(100, 512, 0), (100, 512, 0)], "last entry"),
        ([(100, 512, 0)], "last entry"),
    ],
)
def test_hostile_tables_with_a_good_seal_are_refused(
    forged: list[tuple[int, int, int]], message: str
):
    with pytest.raises(SeekTableError, match=message):
        read_as_a_reader_does(forge(*forged), 100)


def test_a_table_that_claims_billions_of_entries_is_refused_before_it_is_read():
    footer = struct.pack("<IBI", 0xFFFFFFFF, 0x80, 0x8F92EAB1)
    with pytest.raises(SeekTableError, match="4294967295 entries"):
        seek_table.tail_size(footer)


def test_a_table_without_the_seal_of_djafs_is_refused():
    tail = forge((100, 512, 0), SEAL)
    with pytest.raises(SeekTableError, match="seal is missing"):
        read_as_a_reader_does(b"\x5c" + tail[1:], 100)


def test_too_many_frames_are_not_written():
    sizes = array("I", bytes(4 * seek_table.MOST_ENTRIES))
    with pytest.raises(ValueError, match="at most"):
        seek_table.encode(sizes, sizes, sizes)
