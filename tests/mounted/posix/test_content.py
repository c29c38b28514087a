"""Content under many hands: mappings, copies in the kernel, several writers and readers."""

from __future__ import annotations

import mmap
import os
import sqlite3
import threading

import pytest

from rig.twins import Site, Twins


def test_shared_mappings_and_calls_see_each_other(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"0" * 10_000)
        for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT):
            name = "f" if flags == os.O_RDWR else "made"
            descriptor = int(at.open(name, flags))
            os.ftruncate(descriptor, 10_000)
            with mmap.mmap(descriptor, 10_000) as mapping:
                mapping[5000:5004] = b"MAPS"
                assert at.pread(descriptor, 6, 4999)[1:5] == b"MAPS"
                at.pwrite(descriptor, b"CALL", 6000)
                assert mapping[6000:6004] == b"CALL"
                other = int(at.open(name, os.O_RDWR))
                at.pwrite(other, b"OTHER", 7000)
                assert mapping[7000:7005] == b"OTHER"
                mapping[4094:4098] = b"EDGE"
                assert at.pread(other, 4, 4094) == b"EDGE"
                mapping.flush()
                at.content(name)
                os.ftruncate(other, 20_000)
                mapping.resize(20_000)
                mapping[19_999] = 33
                at.content(name)
            os.close(descriptor)
        # After truncation nothing of what was mapped comes back.
        os.truncate("f", 5)
        os.truncate("f", 20_000)
        at.content("f")

    twins.both(scenario)


def test_private_mappings_change_nothing(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"p" * 5000)
        with open("f", "r+b") as file:
            private = mmap.mmap(file.fileno(), 5000, access=mmap.ACCESS_COPY)
            private[0:4] = b"MINE"
            assert private[0:5] == b"MINEp"
            at.content("f")
            reading = mmap.mmap(file.fileno(), 5000, access=mmap.ACCESS_READ)
            at.pwrite(file.fileno(), b"SEEN", 100)
            assert reading[100:104] == b"SEEN"
        with open("f", "rb") as file:
            refused = at.call("map", lambda: mmap.mmap(file.fileno(), 10))
            assert refused == "EACCES"

    twins.both(scenario)


def test_a_mapping_outlives_descriptor_and_name(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"m" * 8192)
        descriptor = os.open("f", os.O_RDWR)
        mapping = mmap.mmap(descriptor, 8192)
        os.close(descriptor)
        other = os.open("f", os.O_RDONLY)
        os.unlink("f")
        mapping[0:5] = b"after"
        mapping.flush()
        assert at.pread(other, 6, 0) == b"afterm"

    twins.both(scenario)


def test_copy_file_range(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", bytes(range(256)) * 100)
        at.make("g", b"g" * 1000)
        source, target = int(at.open("f", os.O_RDWR)), int(at.open("g", os.O_RDWR))
        for length, start, to in (
            (100, 0, 0),
            (5000, 10, 900),
            (10**9, 20_000, 123),
            (10, 25_599, 50_000),
            (10, 25_600, 0),
            (10, 30_000, 0),
            (0, 0, 0),
        ):
            at.copy_file_range(source, target, length, start, to)
            at.content("g")
        assert at.copy_file_range(source, source, 1000, 0, 500) == "EINVAL"
        assert at.copy_file_range(source, source, 1000, 0, 5000) == 1000
        at.pwrite(source, b"changed", 0)
        at.content("g")
        at.content("f")
        reading = int(at.open("g", os.O_RDONLY))
        appending = int(at.open("g", os.O_WRONLY | os.O_APPEND))
        assert at.copy_file_range(source, reading, 10, 0, 0) == "EBADF"
        assert at.copy_file_range(source, appending, 10, 0, 0) == "EBADF"
        at.mkfifo("p", 0o644)
        fifo = int(at.open("p", os.O_RDWR))
        assert at.copy_file_range(source, fifo, 10, 0) == "EINVAL"
        assert at.sendfile(target, source, 0, 3000) == 3000
        at.fstat(target)

    twins.both(scenario)


def test_a_copy_of_a_hole_is_a_hole(twins: Twins):
    source, target = twins.live / "f", twins.live / "g"
    source.touch()
    target.write_bytes(b"t" * 300_000)
    os.truncate(source, 1 << 20)
    with open(source, "r+b", buffering=0) as a, open(target, "r+b", buffering=0) as b:
        os.pwrite(a.fileno(), b"data", 500_000)
        copied = 0
        while copied < 1 << 20:
            copied += os.copy_file_range(a.fileno(), b.fileno(), (1 << 20) - copied)
    assert target.read_bytes() == source.read_bytes()
    assert os.stat(target).st_blocks == 8


def test_many_processes_write_one_file(twins: Twins):
    """Each its own bytes, and each its own lines at the end of another file."""
    path, log = twins.live / "f", twins.live / "log"
    path.touch()
    log.touch()
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            descriptor = os.open(path, os.O_WRONLY)
            appending = os.open(log, os.O_WRONLY | os.O_APPEND)
            for turn in range(100):
                os.pwrite(descriptor, bytes([65 + number]) * 100, (turn * 8 + number) * 100)
                os.write(appending, b"%d %d\n" % (number, turn))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert path.read_bytes() == b"".join(bytes([65 + n]) * 100 for n in range(8)) * 100
    lines = log.read_text().splitlines()
    for number in range(8):
        mine = [line for line in lines if line.startswith(f"{number} ")]
        assert mine == [f"{number} {turn}" for turn in range(100)]


def test_readers_never_see_half_a_replaced_file(twins: Twins):
    """Whole versions only, while a writer renames new ones into place."""
    path, draft = twins.live / "doc", twins.live / "draft"
    path.write_bytes(b"0" * 20_000)
    done = threading.Event()
    torn: list[bytes] = []

    def read() -> None:
        while not done.is_set():
            content = path.read_bytes()
            if len(content) != 20_000 or len(set(content)) != 1:
                torn.append(content)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(150):
        draft.write_bytes(b"%d" % (version % 10) * 20_000)
        draft.rename(path)
    done.set()
    for reader in readers:
        reader.join()
    assert not torn


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 131_072, (1 << 20) + 1, (3 << 20) + 5])
def test_content_of_every_size(twins: Twins, size: int):
    def scenario(at: Site) -> None:
        content = bytes(number * 7 % 251 for number in range(size))
        at.make("f", content)
        at.stat("f")
        descriptor = int(at.open("f", os.O_RDWR))
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in (0, 1, size // 2, size - 1, size, size + 1):
            at.pread(descriptor, 10, offset)
        assert at.content("f") == content
        at.writev(descriptor, [b"one", b"", b"three" * 1000])
        at.preadv(descriptor, [bytearray(5)], 2)
        os.lseek(descriptor, 0, os.SEEK_END)
        at.write(descriptor, b"end")

    twins.both(scenario)


def test_sqlite_maps_and_locks(twins: Twins):
    database = sqlite3.connect(twins.live / "db", isolation_level=None)
    assert database.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    database.execute("PRAGMA mmap_size=1000000")
    database.execute("CREATE TABLE t (x)")
    database.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(500)])
    other = sqlite3.connect(twins.live / "db")
    assert other.execute("SELECT sum(x) FROM t").fetchone() == (124_750,)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
    database.close()
