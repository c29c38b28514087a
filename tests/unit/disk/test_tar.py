"""Tar headers against the library's tarfile, which is slow and knows everything."""

import io
import os
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djafs.disk import tar

ENTRY = tar.Entry(b"sensors/17.json", 2500, 1_700_000_000_999_999_999, 0o100640, 1000, 100)

names = (
    st.lists(
        st.binary(min_size=1, max_size=255).map(lambda part: part.replace(b"/", b"_")),
        min_size=1,
        max_size=6,
    )
    .map(lambda parts: b"/".join(part.replace(b"\0", b"0") for part in parts))
    .filter(bool)
)
entries = st.builds(
    tar.Entry,
    name=names,
    size=st.integers(0, 1 << 40),
    mtime_ns=st.integers(-(1 << 63), (1 << 63) - 1),
    mode=st.integers(0, 0o177777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
)


def read_by_tarfile(header: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header + tar.END)) as archive:
        found = archive.next()
    assert found is not None
    return found


def test_the_common_header_is_one_block_of_known_bytes():
    block = tar.header(ENTRY)
    assert len(block) == 512
    assert block[:100].rstrip(b"\0") == b"sensors/17.json"
    assert block[100:108] == b"0000640\0"
    assert block[108:116] == b"0001750\0"
    assert block[116:124] == b"0000144\0"
    assert block[124:136] == b"00000004704\0"
    assert block[136:148] == b"14524770400\0"
    assert block[156:157] == b"0"
    assert block[257:265] == b"ustar\x0000"
    assert block[345:] == bytes(167)


@given(entries)
def test_tarfile_reads_every_header(entry: tar.Entry):
    found = read_by_tarfile(tar.header(entry))
    assert os.fsencode(found.name) == entry.name or found.name.encode() == entry.name
    assert found.isreg()
    assert found.size == entry.size
    assert found.mtime == entry.mtime_ns // 10**9
    assert (found.mode, found.uid, found.gid) == (entry.mode & 0o7777, entry.uid, entry.gid)


@given(entries)
def test_a_header_is_whole_blocks_and_its_last_one_can_be_parsed(entry: tar.Entry):
    header = tar.header(entry)
    assert len(header) % tar.BLOCK == 0
    first = tar.parse(header[: tar.BLOCK])
    assert first is not None
    if len(header) == tar.BLOCK:
        assert first == (tar.REGULAR, entry.name, entry.size)
    else:
        assert first.type == tar.PAX
        records = tar.parse_pax(header[tar.BLOCK : tar.BLOCK + first.size])
        last = tar.parse(header[-tar.BLOCK :])
        assert last is not None
        assert records.get(b"path", last.name) == entry.name
        assert int(records.get(b"size", last.size)) == entry.size


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        (b"n" * 100, 1),
        (b"p/" + b"n" * 99, 1),
        (b"p" * 155 + b"/" + b"n" * 100, 1),
        (b"p" * 156 + b"/" + b"n" * 100, 3),
        (b"p" * 155 + b"/" + b"n" * 101, 3),
        (b"n" * 101, 3),
        (b"p" * 600, 4),
    ],
)
def test_names_use_the_prefix_before_they_use_pax(name: bytes, blocks: int):
    assert len(tar.header(ENTRY._replace(name=name))) == blocks * tar.BLOCK


def test_names_that_are_not_utf8_say_so_only_in_pax():
    short, long = b"caf\xe9", b"caf\xe9" * 100
    assert b"hdrcharset" not in tar.header(ENTRY._replace(name=short))
    assert b"21 hdrcharset=BINARY\n" in tar.header(ENTRY._replace(name=long))
    assert b"hdrcharset" not in tar.header(ENTRY._replace(name="é".encode() * 200))


@pytest.mark.parametrize("name", [b"", b"/etc/passwd", b"dir/", b"a\0b"])
def test_names_that_no_tar_carries_are_refused(name: bytes):
    with pytest.raises(tar.TarFormatError):
        tar.header(ENTRY._replace(name=name))


def test_a_flipped_bit_in_a_header_is_noticed():
    block = tar.header(ENTRY)
    for position in range(tar.BLOCK):
        for bit in (0, 6):
            damaged = bytearray(block)
            damaged[position] ^= 1 << bit
            try:
                found = tar.parse(bytes(damaged))
            except tar.TarFormatError:
                continue
            # Only the spare bytes around the digits of the checksum are not covered by it.
            assert 148 <= position < 156
            assert found == (tar.REGULAR, ENTRY.name, ENTRY.size)


def test_zeros_are_the_end_of_a_tar():
    assert tar.parse(bytes(512)) is None


@pytest.mark.parametrize(
    "records",
    [b"x", b"5 a=b\n", b"9 path=ab", b"12 path\n", b"99 path=a\n", b"-1 path=a\n", b"0 a=\n"],
)
def test_malformed_pax_records_are_refused(records: bytes):
    with pytest.raises(tar.TarFormatError):
        tar.parse_pax(records)


@pytest.mark.parametrize("value", [b"", b"-1", b"1e9", b"9" * 21, b"\xb2"])
def test_pax_numbers_are_decimal_digits(value: bytes):
    with pytest.raises(tar.TarFormatError):
        tar.pax_number(value)
