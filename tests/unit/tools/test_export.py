"""What goes in comes out: as a directory, as a tar, of today and of any day."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from rig.command import DJAFS, djafs, djafs_ok
from rig.sources import differences, make_source, write
from rig.trees import at, files, tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source")


@pytest.fixture
def filled(source: Path, store: Path) -> Path:
    djafs_ok("convert", "-i", source, "-o", store)
    return store


def test_a_directory_has_everything(source, filled, tmp_path):
    djafs_ok("export", filled, tmp_path / "copy")
    assert differences(source, tmp_path / "copy") == ""
    assert (tmp_path / "copy/sparse").stat().st_blocks * 512 < 17 << 20


@pytest.mark.parametrize("suffix", [".tar", ".tar.zst"])
def test_tar_gets_everything_back_but_sockets(suffix, source, filled, tmp_path):
    out = tmp_path / f"out{suffix}"
    done = djafs("export", filled, out)
    assert done.returncode == 3
    assert done.stderr == "djafs: socket: a tar cannot hold a socket\n"
    copy = tmp_path / "copy"
    copy.mkdir()
    extract = ["tar", "--xattrs", "--xattrs-include=*", "-xpf", out, "-C", copy]
    subprocess.run(extract, check=True, capture_output=True)
    assert differences(source, copy, "socket") == ""


def test_stdout_takes_a_tar_and_stderr_the_summary(filled):
    command = [*DJAFS, "export", filled, "-"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        assert "station/2024-05-01/00.json" in archive.getnames()
    assert b"files, " in done.stderr


def test_any_day_can_be_had(source, filled, tmp_path):
    write(source / "station/2024-05-01/00.json", b"later", at(2024, 7, 1))
    djafs_ok("convert", "-i", source, "-o", filled)
    djafs_ok("export", f"{filled}@2024-05-02", tmp_path / "copy")
    assert sorted(os.listdir(tmp_path / "copy/station")) == [
        "0-c", "1-c", "2-c", "2024-05-01", "2024-05-02",
    ]  # fmt: skip
    assert (tmp_path / "copy/station/2024-05-01/00.json").read_bytes() == b'{"hour": 0}'
    early = djafs("export", f"{filled}@1960-01-01", tmp_path / "other")
    assert early.returncode == 16
    assert "begins on 2018-08-08" in early.stderr


@pytest.mark.leaves_damage
def test_what_is_damaged_is_named_and_the_rest_exported(source, filled, tmp_path):
    archive = filled / "archives/00000001.tar.zst"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    for out in (tmp_path / "copy", tmp_path / "copy.tar"):
        done = djafs("export", "--json", filled, out)
        assert done.returncode == 3
        said = json.loads(done.stdout)
        lost = {problem["path"] for problem in said["problems"]} - {"socket"}
        assert lost
        for problem in said["problems"]:
            assert "damaged" in problem["what"] or problem["path"] == "socket"
    whole, copied = files(source), files(tmp_path / "copy")
    assert {os.fsencode(path) for path in lost} == {
        path for path in whole.keys() - copied.keys() if not path.startswith(b"lost+found")
    }
    assert all(copied[path] == whole[path] for path in copied)
    with tarfile.open(tmp_path / "copy.tar") as tar:
        assert not lost & set(tar.getnames())


def test_a_directory_that_holds_something_is_refused(filled, tmp_path):
    write(tmp_path / "copy/mine", b"", at(2024, 1, 1))
    assert djafs("export", filled, tmp_path / "copy").returncode == 16
    assert list(tree(tmp_path / "copy")) == [b"mine"]
