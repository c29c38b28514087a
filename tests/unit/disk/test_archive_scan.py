"""One pass over an archive: every member, every problem."""

import hashlib
import random
from array import array
from pathlib import Path

import pytest
import zstandard

from djafs.disk import tar
from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_scan import ArchiveScan, ScannedMember, problems
from djafs.disk.archive_writer import ArchiveWriter
from djafs.disk.host import Host
from djafs.disk.seek_table import FRAME, encode
from djafs.disk.tar import Entry
from djafs.errors import ArchiveDamageError

CONTENTS = [
    (
        b"%02d" % number + b"/long" * (60 if number == 3 else 0),
        random.Random(number).randbytes(size),
    )
    for number, size in enumerate([0, 2500, 150_000, 90_000, 120_000, 3 * FRAME + 7, 5000, 200_000])
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "1.tar.zst")
    writer = ArchiveWriter(Host(), path, level=1)
    for name, content in CONTENTS:
        writer.add(Entry(name, len(content), 0, 0o644, 0, 0), [content])
    writer.finish()
    return path


def expected(path: str) -> list[ScannedMember]:
    """Say where the members are, found without the code under test."""
    reader = ArchiveReader(path)
    whole = reader.read(0, reader.table.tar_size)
    reader.close()
    return [
        ScannedMember(
            name, whole.index(content, 512), len(content), hashlib.sha256(content).digest()
        )
        if content
        else ScannedMember(name, 512, 0, hashlib.sha256().digest())
        for name, content in CONTENTS
    ]


def test_a_whole_archive_gives_every_member(path: str):
    scan = ArchiveScan(path)
    assert list(scan) == expected(path)
    content = Path(path).read_bytes()
    assert scan.file_digest == hashlib.sha256(content).hexdigest()
    assert scan.size == len(content)
    assert problems(path) == []


def flip(path: str, frame: int) -> None:
    reader = ArchiveReader(path)
    at = (reader.table.file[frame] + reader.table.file[frame + 1]) // 2
    reader.close()
    content = bytearray(Path(path).read_bytes())
    content[at] ^= 1
    Path(path).write_bytes(content)


def frames_of(path: str, member: ScannedMember) -> set[int]:
    reader = ArchiveReader(path)
    try:
        return set(reader.frames_of(member.at - tar.BLOCK, member.size + tar.BLOCK))
    finally:
        reader.close()


def test_each_damaged_frame_costs_its_own_members_only(path: str):
    whole = Path(path).read_bytes()
    members = expected(path)
    reader = ArchiveReader(path)
    count = reader.table.frames
    reader.close()
    assert count > 5
    for frame in range(count):
        flip(path, frame)
        found: list[ArchiveDamageError] = []
        survivors = list(ArchiveScan(path, found.append))
        reports = [str(problem) for problem in found]
        assert f"frame {frame} " in reports[0]
        assert all("its tar has no end" in report for report in reports[1:])
        assert (len(reports) == 2) == (frame == count - 1)
        assert survivors == [m for m in members if frame not in frames_of(path, m)]
        Path(path).write_bytes(whole)


def test_the_first_problem_is_raised_unless_it_is_asked_for(path: str):
    flip(path, 2)
    with pytest.raises(ArchiveDamageError, match="frame 2 cannot be inflated"):
        list(ArchiveScan(path))


def test_all_problems_are_found(path: str):
    flip(path, 1)
    flip(path, 3)
    assert [str(problem).split(": ")[1][:7] for problem in problems(path)] == ["frame 1", "frame 3"]


def test_a_missing_archive_is_one_problem(tmp_path: Path):
    (problem,) = problems(str(tmp_path / "1.tar.zst"))
    assert "is missing" in str(problem)


def test_a_pass_may_be_left_early(path: str):
    for member in ArchiveScan(path):
        assert member.name == b"00"
        break


def build(path: Path, *frames: bytes) -> str:
    """Write any tar in good frames, under a good seek table."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    compressed = [compressor.compress(frame) for frame in frames]
    tail = encode(
        array("I", map(len, compressed)),
        array("I", map(len, frames)),
        array("I", [int.from_bytes(frame[-4:], "little") for frame in compressed]),
    )
    path.write_bytes(b"".join(compressed) + tail)
    return str(path)


HEADER = tar.header(Entry(b"a", 5, 0, 0o644, 0, 0))
MEMBER = HEADER + b"hello" + bytes(507)


def retyped(kind: bytes) -> bytes:
    """Build the header with another type and the checksum that belongs to it."""
    block = bytearray(HEADER)
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([MEMBER], "no end"),
        ([MEMBER, tar.END[:512]], "goes on after its end"),
        ([MEMBER, tar.END, bytes(512)], "goes on after its end"),
        ([MEMBER, bytes(512) + MEMBER[:512]], "goes on after its end"),
        ([MEMBER, b"x" * 512, tar.END], "fails its checksum|no number|invalid literal"),
        ([retyped(b"5") + MEMBER[512:], tar.END], "type b'5'"),
        ([retyped(b"L") + MEMBER[512:], tar.END], "type b'L'"),
        ([retyped(b"x") + MEMBER[512:], MEMBER, tar.END], "pax header is malformed"),
        ([HEADER, tar.END[:100], tar.END], "no end|fails|ustar|goes on"),
    ],
)
def test_what_is_no_tar_of_ours_is_a_problem(tmp_path: Path, frames: list[bytes], message: str):
    with pytest.raises(ArchiveDamageError, match=message):
        list(ArchiveScan(build(tmp_path / "1.tar.zst", *frames)))


def with_pax(records: bytes) -> bytes:
    extension = bytearray(tar.header(Entry(b"x", len(records), 0, 0o644, 0, 0)))
    extension[156:157] = b"x"
    extension[148:156] = b" " * 8
    extension[148:156] = b"%06o\0 " % sum(extension)
    return bytes(extension) + records + bytes(-len(records) % 512)


@pytest.mark.parametrize("size", [b"-512", b"x", b"9" * 30])
def test_a_hostile_pax_size_is_a_problem(tmp_path: Path, size: bytes):
    record = b" size=%s\n" % size
    record = b"%d%s" % (len(record) + 2, record) if len(record) >= 8 else b"9" + record
    archive = build(tmp_path / "1.tar.zst", with_pax(record) + MEMBER, tar.END)
    with pytest.raises(ArchiveDamageError, match="pax header"):
        list(ArchiveScan(archive))


def test_a_pax_header_that_wants_all_memory_is_a_problem(tmp_path: Path):
    extension = with_pax(b"a" * (2 << 20))
    frames = [extension[at : at + FRAME] for at in range(0, len(extension), FRAME)]
    with pytest.raises(ArchiveDamageError, match="a pax header has 2097152 bytes"):
        list(ArchiveScan(build(tmp_path / "1.tar.zst", *frames)))


def test_frames_may_be_cut_anywhere_between_blocks(tmp_path: Path):
    """Another writer of the format might: the walk does not rely on where ours cuts."""
    name = b"n" * 900
    stream = (
        tar.header(Entry(name, 1500, 0, 0o644, 0, 0)) + b"c" * 1500 + bytes(36) + MEMBER + tar.END
    )
    frames = [stream[at : at + 512] for at in range(0, len(stream), 512)]
    found = list(ArchiveScan(build(tmp_path / "1.tar.zst", *frames)))
    assert [(member.name, member.size) for member in found] == [(name, 1500), (b"a", 5)]
    assert found[0].digest == hashlib.sha256(b"c" * 1500).digest()
