"""Sizes and holes: truncate(2), fallocate(2), lseek(2) for data and holes, large offsets."""

from __future__ import annotations

import os
import random

import pytest

from rig.syscalls import COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from rig.twins import Site, Twins

PART = 16 << 20
"""Files are stored in parts of so many bytes: what crosses them must not show it."""


def holes_of(descriptor: int) -> list[tuple[int, int]]:
    """Return where the data of a file is, as lseek(2) tells it."""
    found, at = [], 0
    while True:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            return found
        at = os.lseek(descriptor, begin, os.SEEK_HOLE)
        found.append((begin, at))


def test_truncating_down_and_up(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", bytes(range(256)) * 40)
        descriptor = at.open("f", os.O_RDWR)
        for size in (10_239, 5000, 4096, 4095, 1, 0, 1, 4096, 4097, 1234567, 10, 123):
            assert at.truncate("f", size) is None
            at.stat("f")
            at.content("f")
            at.pwrite(descriptor, b"x", size // 2)
            assert at.ftruncate(descriptor, size + 3) is None
            at.content("f")

    twins.both(scenario)


@pytest.mark.parametrize("path", ["f", "d", "p"])
def test_sizes_that_are_refused(twins: Twins, path: str):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        at.mkdir("d", 0o755)
        at.mkfifo("p", 0o644)
        for size in (-1, -(2**63), -4096):
            assert at.truncate(path, size) == "EINVAL"
        at.truncate(path, 0)

    twins.both(scenario)


def test_files_may_be_larger_than_on_ext4(twins: Twins):
    path = twins.live / "f"
    path.touch()
    for size in (2**32, 2**44, 2**62, 2**63 - 1):
        os.truncate(path, size)
        assert os.stat(path).st_size == size
        assert os.stat(path).st_blocks == 0
    with open(path, "r+b", buffering=0) as file:
        for offset in (2**40, 2**52 + 1, 2**62):
            os.pwrite(file.fileno(), b"far", offset)
            assert os.pread(file.fileno(), 5, offset - 1) == b"\0far\0"
        with pytest.raises(OSError, match=r"File too large|Invalid argument"):
            os.pwrite(file.fileno(), b"beyond", 2**63 - 1)
    assert os.stat(path).st_blocks == 8
    os.truncate(path, 0)
    assert path.read_bytes() == b""


def test_writing_beyond_4_gib(twins: Twins):
    def scenario(at: Site) -> None:
        descriptor = at.open("f", os.O_CREAT | os.O_RDWR)
        for offset in (2**32 - 2, 2**32 + 10, 2**33 + 5, 2**31 - 1, 5 * 2**30):
            at.pwrite(descriptor, b"here", offset)
            at.pread(descriptor, 10, offset - 3)
            at.fstat(descriptor)
        at.note(repr([begin // 4096 for begin, _ in holes_of(int(descriptor))]))
        at.ftruncate(descriptor, 2**32)
        at.pread(descriptor, 10, 2**32 - 5)
        at.ftruncate(descriptor, 2**33)
        at.pread(descriptor, 10, 2**32 - 5)
        at.ftruncate(descriptor, 0)

    twins.both(scenario)


def test_limits_of_the_process(twins: Twins):
    import resource
    import signal

    def scenario(at: Site) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        descriptor = at.open("f", os.O_CREAT | os.O_RDWR)
        assert at.pwrite(descriptor, b"x" * 100, 9950) == 50
        assert at.pwrite(descriptor, b"x", 10_000) == "EFBIG"
        assert at.ftruncate(descriptor, 10_001) == "EFBIG"
        assert at.truncate("f", 10_001) == "EFBIG"
        at.fallocate(descriptor, 0, 0, 20_000)
        at.fstat(descriptor)

    twins.both(scenario)


def test_fallocate(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"abcdefgh" * 2500)
        descriptor = at.open("f", os.O_RDWR)
        for mode, offset, length in (
            (0, 0, 100),
            (0, 19_000, 2000),
            (KEEP_SIZE, 0, 100_000),
            (KEEP_SIZE | PUNCH_HOLE, 10, 5000),
            (KEEP_SIZE | PUNCH_HOLE, 8192, 4096),
            (KEEP_SIZE | PUNCH_HOLE, 20_000, 50_000),
            (KEEP_SIZE | PUNCH_HOLE, 500_000, 1),
            (ZERO_RANGE, 12_000, 100),
            (ZERO_RANGE | KEEP_SIZE, 14_000, 100_000),
            (ZERO_RANGE, 20_000, 9000),
            (PUNCH_HOLE, 0, 1),
            (0, 0, 0),
            (0, -1, 1),
            (0, 1, -1),
            (KEEP_SIZE | PUNCH_HOLE, 0, 0),
            (KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE, 0, 10),
            (1 << 20, 0, 1),
            (0, 2**63 - 1, 1),
        ):
            at.fallocate(descriptor, mode, offset, length)
            at.fstat(descriptor)
            at.content("f")
        assert at.posix_fallocate(descriptor, 0, 0) == "EINVAL"
        assert at.posix_fallocate(descriptor, -1, 1) == "EINVAL"
        assert at.posix_fallocate(descriptor, 100_000, 1) is None
        at.content("f")
        fresh = at.open("new", os.O_CREAT | os.O_RDWR)
        assert at.posix_fallocate(fresh, 0, 123) is None
        assert at.posix_fallocate(fresh, 567, 345) is None
        assert os.fstat(int(fresh)).st_size == 912

    twins.both(scenario)


def test_collapsing_and_inserting_are_not_supported_by_fuse(twins: Twins):
    path = twins.live / "f"
    path.write_bytes(bytes(16384))
    from rig.syscalls import fallocate

    with open(path, "r+b") as file:
        for mode in (COLLAPSE_RANGE, INSERT_RANGE):
            with pytest.raises(OSError, match="not supported"):
                fallocate(file.fileno(), mode, 4096, 4096)


def test_data_and_holes(twins: Twins):
    """In whole blocks, the two are where they are on ext4."""

    def scenario(at: Site) -> None:
        descriptor = int(at.open("f", os.O_CREAT | os.O_RDWR))
        for offset in (0, 8192, 65536, PART - 4096, PART, 2 * PART + 4096, 5 * PART):
            os.pwrite(descriptor, b"d" * 4096, offset)
        os.fsync(descriptor)
        at.note(repr(holes_of(descriptor)))
        os.ftruncate(descriptor, 7 * PART)
        at.note(repr(holes_of(descriptor)))
        at.fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, 65536, PART)
        os.fsync(descriptor)
        at.note(repr(holes_of(descriptor)))
        for offset in (0, 4096, 8191, 12288, 3 * PART, 6 * PART, 7 * PART - 1, 7 * PART, -1):
            at.lseek(descriptor, offset, os.SEEK_DATA)
            at.lseek(descriptor, offset, os.SEEK_HOLE)
        at.stat("f")
        at.make("empty")
        empty = at.open("empty", os.O_RDONLY)
        at.lseek(empty, 0, os.SEEK_DATA)
        at.lseek(empty, 0, os.SEEK_HOLE)
        at.lseek(empty, 0, 77)
        os.ftruncate(descriptor, 0)

    twins.both(scenario)


def test_blocks_say_what_is_stored(twins: Twins):
    """Not more than the size for a full file, and next to nothing for a hole."""
    path = twins.live / "f"
    with open(path, "w+b", buffering=0) as file:
        descriptor = file.fileno()
        blocks = lambda: os.fstat(descriptor).st_blocks  # noqa: E731
        assert blocks() == 0
        os.write(descriptor, b"x")
        assert blocks() == 8
        os.pwrite(descriptor, b"y" * 8192, 1 << 20)
        assert blocks() == 24
        os.ftruncate(descriptor, 10 * PART)
        assert blocks() == 24
        os.pwrite(descriptor, b"z" * 8192, 8 * PART - 4096)
        assert blocks() == 40
        os.ftruncate(descriptor, 100 * PART)
        assert blocks() == 40
        os.posix_fallocate(descriptor, 0, 1)
    assert os.stat(path).st_blocks == 40
    assert os.stat(twins.live).st_blocks == 8


@pytest.mark.parametrize("seed", range(4))
def test_random_writes_and_holes_across_parts(twins: Twins, seed: int):
    def scenario(at: Site) -> None:
        dice = random.Random(seed)
        descriptor = int(at.open("f", os.O_CREAT | os.O_RDWR))
        for _ in range(60):
            near = dice.choice((0, PART, 2 * PART, 3 * PART)) + dice.randint(-9000, 9000)
            offset, length = max(near, 0), dice.randint(1, 20_000)
            action = dice.randrange(6)
            if action < 3:
                os.pwrite(descriptor, dice.randbytes(length), offset)
            elif action == 3:
                at.fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, offset, length)
            elif action == 4:
                at.ftruncate(descriptor, offset)
            else:
                at.copy_file_range(descriptor, descriptor, length, offset, offset + 30_000)
        at.fstat(descriptor)

    twins.both(scenario)
