"""Stores of every version so far: they open, and show what they showed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from conftest import validate
from djafs.store.store import Store
from rig.command import djafs_ok
from rig.looking import Seen, Shown, look, look_through
from rig.manifest import read_manifest
from rig.mount import Mount
from rig.trees import files as digests

HERE = Path(__file__).parent
GOLDEN = sorted(path.name.removesuffix(".tar.zst") for path in HERE.glob("*.tar.zst"))


@pytest.fixture(params=GOLDEN)
def golden(request: pytest.FixtureRequest, store: Path) -> tuple[Path, Seen]:
    """A golden store, unpacked, and what it has to show."""
    store.mkdir()
    archive = HERE / f"{request.param}.tar.zst"
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", store], check=True)
    return store, read_manifest(HERE / f"{request.param}.jsonl")


def test_there_are_golden_stores():
    assert GOLDEN


def test_it_opens_and_shows_every_day_as_before(golden: tuple[Path, Seen]):
    path, expected = golden
    validate(path)
    opened = Store.open(os.fspath(path))
    assert look(opened) == expected
    opened.close()


def test_it_opens_without_its_index(golden: tuple[Path, Seen]):
    path, expected = golden
    (path / "index.sqlite").unlink()
    opened = Store.open(os.fspath(path))
    assert look(opened) == expected
    opened.close()


def test_it_is_exported(golden: tuple[Path, Seen], tmp_path: Path):
    path, expected = golden
    djafs_ok("export", path, tmp_path / "out.tar")
    subprocess.run(["tar", "-C", tmp_path, "--xattrs", "-tf", tmp_path / "out.tar"], check=True)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-C", tmp_path / "out", "-xf", tmp_path / "out.tar"], check=True)
    found = {b"live/" + name: digest for name, digest in digests(tmp_path / "out").items()}
    files = {
        name: shown.content
        for name, shown in expected.items()
        if isinstance(shown, Shown) and shown.mode >> 12 == 0o10 and name.startswith(b"live/")
    }
    assert found == files


@pytest.mark.skipif(os.geteuid() != 0, reason="documents of several owners: only root reads all")
def test_it_is_mounted_and_goes_on_as_root(golden: tuple[Path, Seen], tmp_path: Path):
    path, expected = golden
    with Mount(path, tmp_path / "mnt", ("--gc-interval=86400", "--settle=0")) as mount:
        assert look_through(mount.mountpoint) == expected
        (mount.live / "new").write_bytes(b"content")
        mount.gc()
        assert (mount.live / "new").read_bytes() == b"content"
