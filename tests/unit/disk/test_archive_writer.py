"""Archives as they are written, judged by tar, zstd and a third-party seekable reader."""

import hashlib
import io
import itertools
import os
import random
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyzstd import SeekableZstdFile

from djafs.disk.archive_reader import ArchiveReader
from djafs.disk.archive_writer import ArchiveWriter, Member
from djafs.disk.host import Host
from djafs.disk.seek_table import FRAME
from djafs.disk.tar import Entry

MTIME = 1_700_000_000_123_456_789


def content_of(size: int, seed: int = 0) -> bytes:
    """Half noise, half text: compressible, and different for each seed."""
    noise = random.Random(seed).randbytes(min(size, 4096) // 2)
    return ((noise + b'{"value": 1}' * 200) * (size // 2400 + 1))[:size]


def entry(name: bytes, size: int) -> Entry:
    return Entry(name, size, MTIME, 0o644, os.getuid(), os.getgid())


def write(path: Path, contents: list[tuple[bytes, bytes]], **options: int) -> list[Member]:
    writer = ArchiveWriter(Host(), str(path), **options)
    members = [writer.add(entry(name, len(content)), [content]) for name, content in contents]
    writer.finish()
    return members


def run(*command: str | Path, **options: str | Path | bytes) -> bytes:
    done = subprocess.run(command, check=True, capture_output=True, **options)
    return done.stdout


MIXED = [
    (b"a/small.json", content_of(2500, 1)),
    (b"a/empty.json", b""),
    (b"b/block.json", content_of(512, 2)),
    (b"b/big.json", content_of(3 * FRAME + 1000, 3)),
    (b"b/exact.json", content_of(FRAME - 512, 4)),
    (b"c/" + b"long/" * 100 + b"name.json", content_of(700, 5)),
    ("c/ümläut.json".encode(), content_of(100_000, 6)),
    (b"c/not-utf8-\xff.json", content_of(200_000, 7)),
]


def test_tar_and_zstd_accept_an_archive(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    write(path, MIXED)
    run("zstd", "-t", path)
    out = tmp_path / "out"
    out.mkdir()
    run("tar", "--zstd", "-xf", path, "-C", out)
    for name, content in MIXED:
        target = os.path.join(os.fsencode(out), name)
        assert Path(os.fsdecode(target)).read_bytes() == content
        assert int(os.stat(target).st_mtime) == MTIME // 10**9
    assert run("tar", "--zstd", "--compare", "-f", path, "-C", out) == b""


def test_zstd_inflates_to_a_tar_that_tarfile_reads(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    members = write(path, MIXED)
    inflated = run("zstd", "-dc", path)
    for member, (_, content) in zip(members, MIXED, strict=True):
        assert inflated[member.at : member.at + member.size] == content
        assert member.digest == hashlib.sha256(content).digest()
    with tarfile.open(fileobj=io.BytesIO(inflated), errors="surrogateescape") as archive:
        assert [os.fsencode(info.name) for info in archive] == [name for name, _ in MIXED]


def test_a_third_party_reader_of_the_seekable_format_reads_ranges(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    members = write(path, MIXED)
    with SeekableZstdFile(path) as file:
        for member, (_, content) in reversed(list(zip(members, MIXED, strict=True))):
            file.seek(member.at)
            assert file.read(member.size) == content


components = st.binary(min_size=1, max_size=255).map(
    lambda part: part.replace(b"/", b"_").replace(b"\0", b"0")
)
names = st.lists(components, min_size=1, max_size=4).map(
    lambda parts: b"/".join(b"_" + part if part in {b".", b".."} else part for part in parts)
)
sizes = st.one_of(st.integers(0, 3000), st.integers(0, 700_000))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(names, sizes), max_size=8, unique_by=lambda pair: pair[0]),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_any_names_and_sizes_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    wanted: list[tuple[bytes, int]],
    threads: int,
    chance: random.Random,
):
    work = tmp_path_factory.mktemp("archive")
    # Each in a directory of its own: one may not be both a file and a directory.
    contents = [
        (b"%d/%s" % (number, name), content_of(size, number))
        for number, (name, size) in enumerate(wanted)
    ]
    members = write(work / "1.tar.zst", contents, threads=threads, level=1)
    run("tar", "--zstd", "-xf", work / "1.tar.zst", "-C", work)
    reader = ArchiveReader(str(work / "1.tar.zst"))
    for member, (name, content) in zip(members, contents, strict=True):
        with open(os.path.join(os.fsencode(work), name), "rb") as file:
            assert file.read() == content
        for _ in range(3):
            start = chance.randint(0, len(content))
            length = chance.randint(0, len(content) - start)
            assert reader.read(member.at + start, length) == content[start : start + length]
    reader.close()


def frame_starts(path: Path) -> Iterator[tuple[int, int]]:
    reader = ArchiveReader(str(path))
    tar = reader.table.tar
    yield from itertools.pairwise(tar)
    reader.close()


def test_frames_are_cut_between_members_and_inside_larger_ones_only(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    contents = [(b"%03d" % number, content_of(40_000, number)) for number in range(20)]
    contents.insert(10, (b"large", content_of(2 * FRAME + 5, 99)))
    contents.insert(15, (b"fits", content_of(FRAME - 512, 98)))
    members = write(path, contents)
    frames = list(frame_starts(path))
    assert all(0 < end - start <= FRAME for start, end in frames)
    for (name, content), member in zip(contents, members, strict=True):
        header_at = member.at - 512
        last = member.at + max(len(content), 1) - 1
        first_frame = next(n for n, (a, b) in enumerate(frames) if a <= header_at < b)
        last_frame = next(n for n, (a, b) in enumerate(frames) if a <= last < b)
        if name == b"large":
            assert frames[first_frame][0] == header_at
            assert last_frame == first_frame + 2
        else:
            assert first_frame == last_frame
    # Small members fill a frame as far as they fit.
    assert frames[0] == (0, 6 * (512 + 40_448))


def test_each_frame_is_a_frame_of_its_own_with_size_and_checksum(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    write(path, MIXED)
    reader = ArchiveReader(str(path))
    for number in range(reader.table.frames):
        parameters = zstandard.get_frame_parameters(reader.compressed(number))
        assert parameters.has_checksum
        assert parameters.dict_id == 0
        assert parameters.content_size == len(reader.frame(number)) <= FRAME
    reader.close()


def test_threads_do_not_change_the_bytes(tmp_path: Path):
    contents = [(b"%04d" % number, content_of(7000, number)) for number in range(300)]
    written = []
    for threads in range(4):
        write(tmp_path / str(threads), contents, threads=threads, level=3)
        written.append((tmp_path / str(threads)).read_bytes())
    assert written[1:] == written[:1] * 3


def test_chunks_of_any_size_make_one_content(tmp_path: Path):
    content = content_of(FRAME * 2 + 77)
    writer = ArchiveWriter(Host(), str(tmp_path / "a"))
    for step in (1000, FRAME, FRAME + 1, len(content)):
        chunks = (content[at : at + step] for at in range(0, len(content), step))
        member = writer.add(entry(b"%d" % step, len(content)), chunks)
        assert member.digest == hashlib.sha256(content).digest()
    writer.finish()
    reader = ArchiveReader(str(tmp_path / "a"))
    assert reader.read(member.at, member.size) == content
    reader.close()


def test_the_metadata_count_what_was_written(tmp_path: Path):
    path = tmp_path / "7.tar.zst"
    writer = ArchiveWriter(Host(), str(path), archive=7, level=5)
    for number, (name, content) in enumerate(MIXED):
        writer.add(entry(name, len(content))._replace(mtime_ns=MTIME - number), [content])
    metadata = writer.finish()
    assert metadata.archive == 7
    assert metadata.level == 5
    assert metadata.members == len(MIXED)
    assert metadata.content_bytes == sum(len(content) for _, content in MIXED)
    assert metadata.tar_bytes == len(run("zstd", "-dc", path))
    assert metadata.compressed_bytes == path.stat().st_size
    assert metadata.frames == len(list(frame_starts(path)))
    assert metadata.oldest_ns == MTIME - len(MIXED) + 1
    assert metadata.newest_ns == MTIME
    assert metadata.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_archive_of_nothing_is_a_tar_of_nothing(tmp_path: Path):
    path = tmp_path / "1.tar.zst"
    write(path, [])
    assert run("tar", "--zstd", "-tf", path) == b""
    reader = ArchiveReader(str(path))
    assert reader.table.tar_size == 1024
    reader.close()


@pytest.mark.parametrize("stated", [9, 11, 10 + FRAME])
def test_a_content_of_another_size_leaves_only_abort(tmp_path: Path, stated: int):
    path = tmp_path / "1.tar.zst"
    writer = ArchiveWriter(Host(), str(path))
    with pytest.raises(ValueError, match="not of the size"):
        writer.add(entry(b"a", stated), [b"0123456789"])
    with pytest.raises(ValueError, match="incomplete"):
        writer.add(entry(b"b", 1), [b"b"])
    with pytest.raises(ValueError, match="incomplete"):
        writer.finish()
    writer.abort()
    assert not path.exists()


def test_a_draft_left_by_a_crash_is_replaced_by_another_file(tmp_path: Path):
    path = tmp_path / "1.tar.zst.tmp"
    path.write_bytes(b"left over" * 100_000)
    with path.open("r+b") as dying:
        write(path, MIXED[:1])
        whole = path.read_bytes()
        dying.write(b"XXXX")
    assert path.read_bytes() == whole


class LabelledHost(Host):
    """Records the labels; fails the step it is told to."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.labels: list[str] = []

    def _step(self, label: str) -> None:
        self.labels.append(label)
        if label == self.failing:
            raise OSError(28, "No space left on device")

    def open(self, path: str, flags: int, label: str, mode: int = 0o600) -> int:
        self._step(label)
        return super().open(path, flags, label, mode)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        self._step(label)
        super().pwrite(descriptor, data, offset, label)

    def sync(self, descriptor: int, label: str) -> None:
        self._step(label)
        super().sync(descriptor, label)

    def unlink(self, path: str, label: str) -> None:
        self._step(label)
        super().unlink(path, label)


def test_every_change_goes_through_the_host_with_its_label(tmp_path: Path):
    host = LabelledHost()
    writer = ArchiveWriter(host, str(tmp_path / "a"))
    writer.add(entry(b"a", 3), [b"abc"])
    writer.finish()
    assert host.labels == ["archive.create", "archive.write", "archive.write", "archive.sync"]
    writer.abort()
    assert (tmp_path / "a").exists()


@pytest.mark.parametrize("failing", ["archive.write", "archive.sync"])
@pytest.mark.parametrize("threads", [0, 2])
def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path: Path, failing: str, threads: int):
    writer = ArchiveWriter(LabelledHost(failing), str(tmp_path / "a"), threads=threads)

    def fill() -> None:
        for number in range(100):
            writer.add(entry(b"%d" % number, 100_000), [content_of(100_000, number)])
        writer.finish()

    with pytest.raises(OSError, match="No space left"):
        fill()
    writer.abort()
    assert list(tmp_path.iterdir()) == []
