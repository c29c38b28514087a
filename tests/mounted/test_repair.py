"""djafs validate -r on a mount: the daemon repairs, and goes on serving."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from conftest import MountStore
from rig.command import djafs
from rig.mount import Mount

FAULTY = [sys.executable, "-m", "djafs.testing.daemon"]
LATER = ("--gc-interval=86400", "--settle=0")


def repair(store: Path, *more: str | Path) -> tuple[int, str]:
    done = djafs("validate", "-p", store, "-v", "-r", *more)
    return done.returncode, done.stdout + done.stderr


def spoil(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Documents that do not compress, so that each has frames of its own."""
    path = tmp_path / "source"
    path.mkdir()
    for number in range(4):
        (path / f"{number}.json").write_bytes(os.urandom(200_000))
    return path


def fill(mounted: Mount, source: Path) -> None:
    """Bring the documents in: two packed, two hot."""
    for number in (0, 1):
        shutil.copy2(source / f"{number}.json", mounted.live)
    mounted.gc()
    for number in (2, 3):
        shutil.copy2(source / f"{number}.json", mounted.live)
    descriptor = os.open(mounted.live, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def matches(live: Path, source: Path, *names: str) -> bool:
    return all((live / n).read_bytes() == (source / n).read_bytes() for n in names)


def unreadable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError as error:
        assert error.errno == errno.EIO
        return True
    return False


def test_the_daemon_repairs(mounted: Mount, source: Path, store: Path):
    fill(mounted, source)
    assert repair(store)[0] == 0
    mounted.remount(*LATER)  # nothing of the documents is in memory
    spoil(store / "archives/00000001.tar.zst", 100)
    (store / "archives/00000001.djfm").unlink()
    (hot,) = (file for file in (store / "hot").iterdir() if file.stat().st_size > 300_000)
    spoil(hot, 100)
    status, said = repair(store)
    assert status == 4, said
    assert "content-lost" not in said
    lost = [name for name in os.listdir(mounted.live) if unreadable(mounted.live / name)]
    assert sorted(lost) == ["0.json", "2.json"]
    assert all(f"affects live/{name}" in said.rpartition("after the repair:")[2] for name in lost)
    assert matches(mounted.live, source, "1.json", "3.json")
    (mounted.live / "new.json").write_bytes(b"written meanwhile")
    mounted.gc()
    status, said = repair(store, "--from", source)
    assert (status, said.splitlines()[-1]) == (1, "0 errors"), said
    mounted.remount(*LATER)
    assert matches(mounted.live, source, *os.listdir(source))
    kept = [file.name for file in (store / "damaged").rglob("*") if file.is_file()]
    assert sorted(kept) == sorted(["00000001.tar.zst", hot.name])


def test_a_log_in_use(mounted: Mount, source: Path, store: Path):
    fill(mounted, source)
    log = store / "lookups/00000001.djfl"
    spoil(log, log.read_bytes().index(b'"name":"1.json"') + 10)
    status, said = repair(store)
    assert (status, said.splitlines()[-1]) == (1, "0 errors"), said
    (mounted.live / "new.json").write_bytes(b"written after it")
    mounted.remount(*LATER)
    assert matches(mounted.live, source, *os.listdir(source))
    mounted.unmount()
    (store / "index.sqlite").unlink()
    mounted.start()
    assert matches(mounted.live, source, *os.listdir(source))
    assert (mounted.live / "new.json").read_bytes() == b"written after it"


@pytest.mark.parametrize("label", ["repair.link", "compaction.unlink"])
def test_the_daemon_is_killed_over_it(
    mount_store: MountStore, source: Path, store: Path, label: str
):
    mounted = mount_store(*LATER)
    fill(mounted, source)
    mounted.unmount()
    spoil(store / "archives/00000001.tar.zst", 100)
    mounted.program = FAULTY
    mounted.environment = {"DJAFS_TEST_FAULTS": f"{label}:kill"}
    mounted.start()
    status, said = repair(store, "--from", source)
    assert status == 8, said
    mounted.kill9()
    mounted.environment = {}
    mounted.start()
    status, said = repair(store, "--from", source)
    assert status in (0, 1), said
    assert matches(mounted.live, source, *os.listdir(source))
