"""Reading archives at random: the right bytes, or a named error; never other bytes."""

import errno
import os
import random
import resource
import threading
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from djafs.disk import archive_reader
from djafs.disk.archive_reader import ArchiveReader, Archives
from djafs.disk.archive_writer import ArchiveWriter, Member
from djafs.disk.frame_cache import FrameCache
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.disk.seek_table import FRAME, encode
from djafs.disk.tar import Entry
from djafs.errors import ArchiveDamageError

CONTENTS = [
    (b"%02d.json" % number, random.Random(number).randbytes(size // 4) * 4)
    for number, size in enumerate([0, 40, 2500, 100_000, 3 * FRAME, 60_000, 200_000, 8])
]


def write(path: str, contents: list[tuple[bytes, bytes]] = CONTENTS) -> list[Member]:
    writer = ArchiveWriter(Host(), path, level=1)
    entries = [Entry(name, len(content), 0, 0o644, 0, 0) for name, content in contents]
    members = [
        writer.add(entry, [content]) for entry, (_, content) in zip(entries, contents, strict=True)
    ]
    writer.finish()
    return members


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "archives").mkdir()
    return Layout(str(tmp_path))


def test_every_content_is_read_through_the_cache(layout: Layout):
    members = write(layout.archive(1))
    archives = Archives(layout)
    for _ in range(2):
        for member, (_, content) in zip(members, CONTENTS, strict=True):
            assert archives.read(1, member.at, member.size) == content
    archives.close()


def test_random_ranges_are_the_bytes_of_the_tar(layout: Layout):
    write(layout.archive(1))
    reader = ArchiveReader(layout.archive(1))
    whole = reader.read(0, reader.table.tar_size)
    archives = Archives(layout, FrameCache(2 * FRAME + 1000))
    chance = random.Random(7)
    for _ in range(300):
        at = chance.randrange(len(whole))
        length = chance.randrange(min(len(whole) - at, chance.choice([10, 5000, 10**6])) + 1)
        assert archives.read(1, at, length) == whole[at : at + length]
        cached = archives.cached(1, at, length)
        assert cached is None or cached == whole[at : at + length]
    archives.close()
    reader.close()


def test_cached_answers_only_from_memory(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    members = write(layout.archive(1))
    archives = Archives(layout)
    big = members[4]
    assert archives.cached(1, big.at, big.size) is None  # not even open
    archives.read(1, big.at, 10)
    monkeypatch.setattr(archive_reader.os, "pread", None)
    assert archives.cached(1, big.at, 10) == CONTENTS[4][1][:10]
    assert archives.cached(1, big.at, big.size) is None  # only its first frame is here
    assert archives.cached(1, 0, 0) == b""
    archives.close()


def test_cached_tells_archives_apart_and_forgets(layout: Layout):
    other = [(name, bytes(reversed(content))) for name, content in CONTENTS]
    members = {1: write(layout.archive(1)), 2: write(layout.archive(2), other)}
    archives = Archives(layout)
    for archive, contents in ((1, CONTENTS), (2, other), (1, CONTENTS), (2, other)):
        for number in (1, 2, 3, 1):
            member = members[archive][number]
            archives.read(archive, member.at, member.size)
            assert archives.cached(archive, member.at, member.size) == contents[number][1]
    archives.forget(2)
    assert archives.cached(2, members[2][1].at, 40) is None
    assert archives.cached(1, members[1][1].at, 40) == CONTENTS[1][1]
    archives.close()


@pytest.fixture
def opened(layout: Layout) -> Iterator[tuple[Archives, list[Member]]]:
    """An archive that is open, of which no frame is in memory."""
    members = write(layout.archive(1))
    archives = Archives(layout)
    archives.reader(1)
    yield archives, members
    archives.close()


def test_a_frame_that_the_kernel_has_is_inflated_at_once(
    opened: tuple[Archives, list[Member]], monkeypatch: pytest.MonkeyPatch
):
    archives, members = opened
    small, big = members[2], members[4]
    monkeypatch.setattr(archive_reader.os, "pread", None)  # which would wait for the disk
    assert archives.cached(1, small.at, small.size) is None
    found = archives.cached(1, small.at, small.size, inflate=True)
    assert found == CONTENTS[2][1]
    assert archives.cached(1, small.at, small.size) == found  # and is kept
    assert archives.cached(1, big.at, big.size, inflate=True) is None  # several frames


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_a_frame_that_the_disk_has_is_not_waited_for(
    opened: tuple[Archives, list[Member]], monkeypatch: pytest.MonkeyPatch, number: int
):
    archives, members = opened

    def preadv(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(archive_reader.os, "preadv", preadv)
    member = members[2]
    assert archives.cached(1, member.at, member.size, inflate=True) is None
    assert archives.read(1, member.at, member.size) == CONTENTS[2][1]


def test_half_a_frame_in_the_kernel_is_none(
    opened: tuple[Archives, list[Member]], monkeypatch: pytest.MonkeyPatch
):
    archives, members = opened
    monkeypatch.setattr(archive_reader.os, "preadv", lambda *_: 100)
    assert archives.cached(1, members[2].at, members[2].size, inflate=True) is None


def test_a_damaged_frame_in_the_kernel_is_damage(layout: Layout):
    members = write(layout.archive(1))
    with open(layout.archive(1), "r+b") as file:
        file.seek(50)
        found = file.read(1)
        file.seek(50)
        file.write(bytes([found[0] ^ 1]))
    archives = Archives(layout)
    archives.reader(1)
    with pytest.raises(ArchiveDamageError, match="damaged at byte 0: frame 0 cannot be inflated"):
        archives.cached(1, members[2].at, members[2].size, inflate=True)
    archives.close()


def test_a_small_content_inflates_one_frame(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    members = write(layout.archive(1))
    archives = Archives(layout)
    inflated = []
    inflate = ArchiveReader.inflate

    def counted(self: ArchiveReader, number: int, frame: bytes) -> bytes:
        inflated.append(number)
        return inflate(self, number, frame)

    monkeypatch.setattr(ArchiveReader, "inflate", counted)
    for _ in range(3):
        archives.read(1, members[2].at, members[2].size)
    assert inflated == [0]
    archives.close()


def open_descriptors() -> set[str]:
    links = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            links.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue  # that of the listing itself
    return links


def test_only_so_many_archives_stay_open(layout: Layout):
    for number in range(1, 6):
        write(layout.archive(number), CONTENTS[:3])
    archives = Archives(layout, FrameCache(0), most_open=2)
    held = archives.reader(1)
    for number in range(1, 6):
        archives.read(number, 512, 40)
    assert open_descriptors() >= {layout.archive(4), layout.archive(5)}
    assert not open_descriptors() & {layout.archive(2), layout.archive(3)}
    # A read that is under way keeps its own.
    assert held.read(512, 0) == b""
    assert layout.archive(1) in open_descriptors()
    del held
    archives.close()
    assert not any(path.startswith(layout.root) for path in open_descriptors())


def test_archives_are_closed_when_no_more_files_may_be_open(layout: Layout):
    for number in range(1, 12):
        write(layout.archive(number))
    archives = Archives(layout)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = max(map(int, os.listdir("/proc/self/fd"))) + 5
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        found = [archives.read(number, 512, 10) for number in range(1, 12)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(set(found)) == 1
    archives.close()


def test_an_archive_that_is_gone_is_forgotten(layout: Layout):
    members = write(layout.archive(1))
    archives = Archives(layout)
    archives.read(1, members[1].at, members[1].size)
    os.unlink(layout.archive(1))
    assert archives.read(1, members[1].at, members[1].size) == CONTENTS[1][1]
    archives.forget(1)
    assert archives.cached(1, members[1].at, members[1].size) is None
    with pytest.raises(ArchiveDamageError, match=r"00000001\.tar\.zst is missing"):
        archives.read(1, members[1].at, members[1].size)


def test_many_threads_read_the_right_bytes(layout: Layout):
    members = {number: write(layout.archive(number)) for number in (1, 2, 3)}
    archives = Archives(layout, FrameCache(3 * FRAME), most_open=2)
    start = threading.Barrier(8)

    def read_all(seed: int) -> None:
        chance = random.Random(seed)
        start.wait(10)
        for _ in range(60):
            archive, number = chance.choice([1, 2, 3]), chance.randrange(len(CONTENTS))
            member = members[archive][number]
            assert archives.read(archive, member.at, member.size) == CONTENTS[number][1]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_all, range(8)))
    archives.close()


def test_a_range_beyond_the_tar_is_damage(layout: Layout):
    write(layout.archive(1))
    archives = Archives(layout)
    size = archives.reader(1).table.tar_size
    for at, length in [(size, 1), (size - 1, 2), (-1, 1), (1 << 62, 1)]:
        with pytest.raises(ArchiveDamageError, match="has no"):
            archives.read(1, at, length)
    archives.close()


def read_everything(path: str, members: list[Member]) -> list[bytes]:
    reader = ArchiveReader(path)
    try:
        return [reader.read(member.at, member.size) for member in members]
    finally:
        reader.close()


def test_no_flipped_byte_ever_gives_wrong_bytes(layout: Layout):
    path = layout.archive(1)
    members = write(path)
    whole = Path(path).read_bytes()
    chance = random.Random(3)
    tail = range(len(whole) - 250, len(whole))
    for position in [*tail, *chance.sample(range(len(whole) - 250), 300)]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << chance.randrange(8)
        Path(path).write_bytes(damaged)
        try:
            found = read_everything(path, members)
        except ArchiveDamageError as error:
            assert path in str(error)
            assert "byte" in str(error)
        else:
            assert found == [content for _, content in CONTENTS]


def test_no_flipped_byte_goes_unnoticed_by_whoever_reads_all(layout: Layout):
    path = layout.archive(1)
    write(path, CONTENTS[:4])
    whole = Path(path).read_bytes()
    chance = random.Random(4)
    for position in chance.sample(range(len(whole)), 100):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << chance.randrange(8)
        Path(path).write_bytes(damaged)
        with pytest.raises(ArchiveDamageError):
            reader = ArchiveReader(path)
            try:
                reader.read(0, reader.table.tar_size)
            finally:
                reader.close()


def test_no_cut_gives_wrong_bytes(layout: Layout):
    path = layout.archive(1)
    write(path)
    whole = Path(path).read_bytes()
    for length in [0, 1, 8, 9, 17, 100, len(whole) // 2, len(whole) - 1]:
        Path(path).write_bytes(whole[:length])
        with pytest.raises(ArchiveDamageError, match="damaged at byte"):
            ArchiveReader(path)
    Path(path).write_bytes(whole + b"\0")
    with pytest.raises(ArchiveDamageError):
        ArchiveReader(path)


def test_a_file_that_shrinks_while_it_is_open_is_damage(layout: Layout):
    path = layout.archive(1)
    write(path)
    reader = ArchiveReader(path)
    os.truncate(path, 100)
    with pytest.raises(ArchiveDamageError, match="cut off"):
        reader.read(0, reader.table.tar_size)
    reader.close()


def forge(path: str, frames: list[tuple[bytes, int]]) -> ArchiveReader:
    """Write frames with a good seek table that claims any size for them."""
    checksums = [int.from_bytes(frame[-4:], "little") for frame, _ in frames]
    tail = encode(
        array("I", [len(frame) for frame, _ in frames]),
        array("I", [size for _, size in frames]),
        array("I", checksums),
    )
    Path(path).write_bytes(b"".join(frame for frame, _ in frames) + tail)
    return ArchiveReader(path)


def compress(content: bytes, **options: bool) -> bytes:
    options = {"write_checksum": True, "write_content_size": True, **options}
    return zstandard.ZstdCompressor(level=1, **options).compress(content)


@pytest.mark.parametrize(
    ("frame", "stated", "message"),
    [
        (compress(bytes(1 << 26)), FRAME, "about its size"),
        (compress(bytes(1000)), 1001, "about its size"),
        (compress(bytes(1000), write_content_size=False), 1000, "about its size"),
        (compress(bytes(1000), write_checksum=False), 1000, "about its checksum"),
        (compress(bytes(1000)) + compress(bytes(1000)), 1000, "cannot be inflated"),
        (b"\x50\x2a\x4d\x18" + bytes(20), 1000, "about its size"),
        (b"not zstd at all", 1000, "cannot be inflated"),
        (b"\x28\xb5\x2f\xfd", 1000, "cannot be inflated"),
    ],
)
def test_hostile_frames_are_refused_in_little_memory(
    layout: Layout, frame: bytes, stated: int, message: str
):
    reader = forge(layout.archive(1), [(frame, stated)])
    with pytest.raises(ArchiveDamageError, match=message):
        reader.read(0, stated)
    reader.close()


def test_a_frame_that_lies_about_its_size_is_refused(layout: Layout):
    honest = compress(bytes(60_000))
    assert honest[4] == 0x64  # single segment, checksum, content size in 2 bytes
    lying = honest[:5] + (50_000 - 256).to_bytes(2, "little") + honest[7:]
    reader = forge(layout.archive(1), [(lying, 50_000)])
    with pytest.raises(ArchiveDamageError, match="frame 0"):
        reader.read(0, 50_000)
    reader.close()


def test_frames_of_equal_size_cannot_change_places(layout: Layout):
    path = layout.archive(1)
    noise = [random.Random(seed).randbytes(FRAME) for seed in (1, 2)]
    write(path, [(b"big", noise[0] + noise[1])])
    reader = ArchiveReader(path)
    whole = bytearray(Path(path).read_bytes())
    first, second, end = reader.table.file[0], reader.table.file[1], reader.table.file[2]
    reader.close()
    assert second - first == end - second
    whole[first:second], whole[second:end] = whole[second:end], whole[first:second]
    Path(path).write_bytes(whole)
    reader = ArchiveReader(path)
    with pytest.raises(ArchiveDamageError, match="checksum"):
        reader.read(0, FRAME)
    reader.close()
