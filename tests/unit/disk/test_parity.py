"""Recovery data: what is lost of an archive comes back bit for bit, as far as it was chosen."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djafs.disk import par2, parity
from djafs.errors import ArchiveDamageError, ParityError
from rig.protected_archive import PERCENT, SIZE
from rig.protected_archive import ProtectedArchive as World


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("parity") / "store")


@pytest.fixture
def world(tmp_path: Path, shared: World) -> World:
    return World(tmp_path / "store", like=shared)


@pytest.mark.parametrize(
    ("size", "percent", "expected"),
    [
        (1, 1, (4096, 2)),
        (20_000, 10, (4096, 2)),
        (3_000_000, 10, (4096, 75)),
        (4096 * 1000, 5, (4096, 51)),
        (4096 * 1000 + 1, 5, (8192, 27)),
        (256 << 20, 100, (270_336, 994)),
        (40 << 30, 10, (42_950_656, 101)),
    ],
)
def test_blocks_are_pages_and_not_too_many(size: int, percent: int, expected: tuple[int, int]):
    assert parity.blocks_of(size, percent) == expected


def test_what_is_made_is_one_file_that_par2_knows(world: World):
    assert sorted(os.listdir(world.layout.root)) == ["archives"]
    assert sorted(os.listdir(world.layout.archives)) == [world.archive.name, world.data.name]
    made = parity.create(world.layout, 17, PERCENT, world.sha256)
    assert world.data.stat().st_mode & 0o777 == 0o600
    assert world.data.stat().st_size == made < 9 * 4200 + 10_000
    assert world.check() == []
    subprocess.run(["par2", "verify", "-q", "-q", "--", world.data], check=True)


def test_it_is_made_again_over_what_was_there(world: World):
    world.data.write_bytes(b"")
    parity.create(world.layout, 17, 50, world.sha256)
    assert world.check() == []
    assert par2.scan(os.fspath(world.data)).recovery == 38


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 20_000])
def test_small_archives_have_it_too(tmp_path: Path, size: int):
    world = World(tmp_path / "store", size, 1)
    assert world.check() == []
    assert world.repair(bytes(min(size, 4096)) + world.content[4096:])


def test_at_100_percent_a_missing_archive_comes_back(tmp_path: Path):
    world = World(tmp_path / "store", 50_000, 100)
    assert world.repair(None)
    assert world.repair(b"")


def test_a_whole_archive_is_only_copied(world: World):
    assert world.repair(world.content)


def test_a_missing_archive_without_enough_stays_missing(world: World):
    assert not world.repair(None)
    world.data.unlink()
    assert not world.repair(None)


def test_damage_to_both_is_repaired_with_what_is_left(world: World):
    data = bytearray(world.data.read_bytes())
    data[5000] ^= 1  # one recovery block of nine
    data[-100:] = bytes(100)  # and the last copy of the description
    world.data.write_bytes(data)
    assert len(world.check()) == 2
    damaged = bytearray(world.content)
    for block in range(7):
        damaged[block * 4096 * 3] ^= 255
    assert world.repair(bytes(damaged))
    damaged[30 * 4096] ^= 255
    damaged[40 * 4096] ^= 255
    assert not world.repair(bytes(damaged))


def test_every_flipped_byte_is_named(world: World):
    whole = world.data.read_bytes()
    for at in [*range(70), *range(70, len(whole), 499), len(whole) - 1]:
        data = bytearray(whole)
        data[at] ^= 1
        world.data.write_bytes(data)
        assert world.check(), at


def test_a_file_cut_off_or_empty_is_named(world: World):
    os.truncate(world.data, world.data.stat().st_size - 1)
    assert "no whole packet" in world.check()[0]
    os.truncate(world.data, 0)
    assert world.check() == ["it does not say which file it is for"]


def test_recovery_data_of_another_archive_is_named(tmp_path: Path, world: World):
    other = World(tmp_path / "other", 5000)
    shutil.copy(other.data, world.data)
    assert world.check() == ["it is for another archive"]
    assert world.check(whole=False) == []
    assert not world.repair(world.content)  # of the wrong size
    shutil.copy(world.data, world.layout.archive_parity(18))
    assert parity.check(world.layout, 18, whole=False) == [
        "it is for a file named b'00000017.tar.zst'"
    ]
    assert not parity.repair(world.layout, 18, os.fspath(world.into), None)


def test_a_damaged_archive_gets_none(world: World):
    before = world.data.read_bytes()
    world.archive.write_bytes(world.content[:-1] + b"\0")
    with pytest.raises(ArchiveDamageError, match="not what was written"):
        parity.create(world.layout, 17, 10, world.sha256)
    world.archive.unlink()
    with pytest.raises(ArchiveDamageError, match="missing"):
        parity.create(world.layout, 17, 10, world.sha256)
    assert world.data.read_bytes() == before


def test_without_the_program_it_says_what_to_install(world: World, monkeypatch):
    monkeypatch.setenv("PATH", os.fspath(world.into))
    with pytest.raises(ParityError, match="apt install par2"):
        parity.create(world.layout, 17, 10, world.sha256)
    assert world.check() == []
    with pytest.raises(ParityError, match="apt install par2"):
        world.repair(world.content[:-1])


@pytest.mark.parametrize(("status", "said"), [(6, "no space left"), (3, "")])
def test_a_par2_that_fails_changes_nothing(world: World, monkeypatch, tmp_path, status, said):
    before = world.data.read_bytes()
    fake = tmp_path / "bin" / "par2"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\necho a line\necho {said}\nexit {status}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(ParityError, match=said or "a line"):
        parity.create(world.layout, 17, 10, world.sha256)
    with pytest.raises(ParityError, match="could not repair"):
        world.repair(world.content[:-1])
    assert sorted(os.listdir(world.layout.root)) == ["archives"]
    assert world.data.read_bytes() == before


def packet(kind: bytes, body: bytes) -> bytes:
    rest = bytes(16) + kind.ljust(16, b"\0") + body
    head = struct.pack("<8sQ16s", b"PAR2\0PKT", 32 + len(rest), hashlib.md5(rest).digest())
    return head + rest


def forged(name: bytes, size: int, block: int, blocks: int, files: int = 1) -> bytes:
    file = b"i" * 16
    return b"".join(
        [
            packet(b"PAR 2.0\0Main", struct.pack("<QI", block, files) + file * files),
            packet(b"PAR 2.0\0FileDesc", file + bytes(32) + struct.pack("<Q", size) + name),
            packet(b"PAR 2.0\0IFSC", file + bytes(20 * blocks)),
            packet(b"PAR 2.0\0RecvSlic", bytes(4 + block)),
        ]
    )


@pytest.mark.parametrize(
    "data",
    [
        forged(b"../../escaped\0\0\0", 4, 4, 1),
        forged(b"/tmp/escaped", 4, 4, 1),
        forged(b"00000017.tar.zst", 1 << 60, 4, 1),
        forged(b"00000017.tar.zst", 4, 0, 1),
        forged(b"00000017.tar.zst", 8, 4, 2, files=2),
        forged(b"00000017.tar.zst", 4, 4, 1) + forged(b"00000018.tar.zst", 4, 4, 1),
    ],
)
def test_forged_recovery_data_is_not_used(world: World, data: bytes):
    world.data.write_bytes(data)
    assert world.check()
    assert not world.repair(world.content[:-1])


def test_recovery_data_of_a_file_of_another_name_is_not_used(world: World, tmp_path: Path):
    (tmp_path / "other").write_bytes(world.content)
    command = ["par2", "create", "-q", "-q", "-s4096", "-c100", "-n1", "-aother.par2", "other"]
    subprocess.run(command, cwd=tmp_path, check=True)
    (data,) = tmp_path.glob("other.vol*")
    shutil.copy(data, world.data)
    assert world.check() == ["it is for a file named b'other'"]
    assert not world.repair(world.content[:-1])


def test_links_and_pipes_are_not_followed(world: World, tmp_path: Path):
    os.rename(world.archive, tmp_path / "elsewhere")
    world.archive.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        parity.create(world.layout, 17, 10, world.sha256)
    assert not parity.repair(world.layout, 17, os.fspath(world.into), SIZE)
    os.rename(world.data, tmp_path / "data")
    world.data.symlink_to(tmp_path / "data")
    with pytest.raises(OSError, match="symbolic links"):
        world.check()
    world.data.unlink()
    os.mkfifo(world.data)
    assert world.check() == ["it does not say which file it is for"]


def test_forged_packets_are_read_in_bounded_time(tmp_path: Path):
    path = tmp_path / "data.par2"
    head = struct.pack("<8sQ16s16s16s", b"PAR2\0PKT", 64, bytes(16), bytes(16), bytes(16))
    claims = [head[:8] + struct.pack("<Q", (4 << 20) - 64 * n) + head[16:] for n in range(1 << 16)]
    path.write_bytes(b"".join(claims))
    assert len(par2.scan(os.fspath(path)).problems) < 2000


@given(st.binary(max_size=200))
def test_anything_may_be_read(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    path = tmp_path_factory.getbasetemp() / "any.par2"
    path.write_bytes(forged(b"name", 4, 4, 1)[: len(data)] + data)
    assert par2.scan(os.fspath(path)).problems
