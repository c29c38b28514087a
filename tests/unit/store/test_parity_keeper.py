"""Recovery data of a store: every archive gets it, none keeps it without need, no crash harms."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import validate
from djafs.cli.main import main
from djafs.disk import parity
from djafs.errors import NotAStoreError, PackingError
from djafs.packing.packer import Packer, PackingCancelledError
from djafs.store.parity_keeper import ParityKeeper
from djafs.store.store import Store
from djafs.tools.validate import check_store
from djafs.tools.validation.findings import Finding, Kind
from rig.small_store import CopyingHost, SmallStore


@pytest.fixture
def host() -> CopyingHost:
    return CopyingHost()


@pytest.fixture
def small(store: Path, host: CopyingHost) -> Iterator[SmallStore]:
    """A store with parity and one archive that has none yet."""
    small = SmallStore(store, host)
    small.reopen()
    small.close()
    small.open(parity=20)
    small.file(b"first", random.Random(1).randbytes(30_000))
    small.collect()
    yield small
    small.close()


def protected(small: SmallStore) -> list[str]:
    return sorted(name for name in os.listdir(small.layout.archives) if name.endswith("par2"))


def findings(small: SmallStore) -> list[Finding]:
    found: list[Finding] = []
    check_store(small.layout, found.append, lambda line: None)
    return found


def test_what_lacks_it_gets_it_and_once(small: SmallStore):
    assert findings(small) == []  # it is in use, and may be about to make it
    os.utime(small.layout.archive(1), (0, 0))
    (missing,) = findings(small)
    assert (missing.kind, missing.where) == (Kind.PARITY_MISSING, "archives/00000001.tar.zst")
    kept = small.protect()
    assert (kept.archives, kept.failed) == (1, 0)
    path = small.layout.archive_parity(1)
    assert kept.bytes == os.path.getsize(path)
    assert small.protect().archives == 0
    assert findings(small) == []
    subprocess.run(["par2", "verify", "-q", "-q", path], check=True)


def test_it_goes_with_its_archive(small: SmallStore):
    small.protect()
    small.file(b"second", random.Random(2).randbytes(30_000))
    small.collect()
    small.compact()
    assert (small.archives(), protected(small)) == (["00000003.tar.zst"], [])
    small.protect()
    assert protected(small) == ["00000003.tar.zst.par2"]


def test_every_crash_point_is_harmless(small: SmallStore, host: CopyingHost, tmp_path: Path):
    host.root, host.target = small.path, tmp_path
    small.protect()
    host.target = None
    assert host.steps == [
        "parity.draft", "parity.open", "parity.write", "parity.sync", "parity.rename",
        "parity.sync-directory",
    ]  # fmt: skip
    for number, step in enumerate(host.steps):
        copy = SmallStore(tmp_path / f"{number:03}-{step}")
        assert sorted(copy.live()) == [b"first"]
        assert not [n for n in os.listdir(copy.layout.archives) if n.endswith(".tmp")]
        assert not [n for n in os.listdir(copy.path) if n.startswith("parity")]
        assert copy.protect().archives == (step != "parity.sync-directory")
        copy.close()
        validate(copy.path)


@pytest.mark.parametrize("step", ["parity.draft", "parity.write", "parity.sync", "parity.rename"])
def test_a_step_that_fails_leaves_nothing(small: SmallStore, host: CopyingHost, step: str):
    host.fail = step
    kept = small.protect()
    assert (kept.archives, kept.failed) == (0, 1)
    assert not [n for n in os.listdir(small.layout.archives) if "par2" in n]
    assert not [n for n in os.listdir(small.path) if n.startswith("parity")]
    host.fail = None
    assert small.protect().archives == 1


def test_what_fails_is_tried_again_later_or_when_asked(small: SmallStore, caplog):
    path = Path(small.layout.archive(1))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    keeper = ParityKeeper(small.store, Packer(small.layout))
    assert keeper.keep().failed == 1
    assert "no recovery data for archive 1" in caplog.text
    assert "it is not what was written" in caplog.text
    assert keeper.keep().failed == 0
    path.write_bytes(content)
    assert keeper.keep().archives == 0
    assert keeper.keep(retry=True).archives == 1
    keeper.close()


def test_an_archive_that_is_compacted_meanwhile_keeps_none(small: SmallStore, monkeypatch):
    small.file(b"second", random.Random(2).randbytes(30_000))
    small.collect()
    create = parity.create

    def slowly(*arguments, **more):
        made = create(*arguments, **more)
        if arguments[1] == 1:
            small.compact()
            shutil.copy(small.layout.archive_parity(3), small.layout.archive_parity(1))
        return made

    made_before = small.layout.archive_parity(3)
    Path(made_before).write_bytes(b"")
    monkeypatch.setattr("djafs.packing.parity_worker.parity.create", slowly)
    small.protect()
    assert protected(small) == ["00000003.tar.zst.par2"]
    os.unlink(made_before)


def test_a_store_that_is_nearly_full_makes_none(small: SmallStore, monkeypatch, caplog):
    space = small.store.space
    monkeypatch.setattr(space, "of_disk", lambda: (1 << 40, space.margin + 20_000))
    assert small.protect().failed == 1
    assert "the disk is full" in caplog.text


def test_it_can_be_stopped(small: SmallStore):
    keeper = ParityKeeper(small.store, Packer(small.layout))
    with pytest.raises(PackingCancelledError):
        keeper.keep(lambda: True)
    keeper.close()
    with pytest.raises(PackingCancelledError):
        keeper._packer.protect(1, 10)
    assert protected(small) == []
    assert not [name for name in os.listdir(small.path) if name.startswith("parity")]


@pytest.mark.leaves_damage
def test_the_packer_says_why_it_failed(small: SmallStore):
    os.unlink(small.layout.archive_metadata(1))
    with pytest.raises(PackingError, match=r"metadata .* is missing"):
        Packer(small.layout).protect(1, 10)


def test_a_mount_clears_what_a_crash_left(small: SmallStore):
    small.protect()
    whole = protected(small)
    shutil.copy(small.layout.archive_parity(1), small.layout.archive_parity(99))
    workspace = small.layout.parity_workspace()
    Path(workspace, "made.par2").write_bytes(b"")
    os.symlink("/etc/passwd", os.path.join(workspace, "damaged"))
    small.reopen()
    assert protected(small) == whole
    assert not os.path.exists(workspace)


def test_it_stays_when_its_archive_is_lost(small: SmallStore):
    small.protect()
    files = [Path(path) for path in small.layout.archive_files(1)[:2]]
    contents = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    shutil.copy(small.layout.archive_parity(1), small.layout.archive_parity(98))  # which goes
    small.reopen()
    assert protected(small) == ["00000001.tar.zst.par2"]
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content)


def test_validate_names_damage_of_it(small: SmallStore):
    small.protect()
    path = Path(small.layout.archive_parity(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + b"\xff" + whole[501:])
    (found,) = findings(small)
    assert (found.kind, found.where) == (Kind.PARITY, "archives/00000001.tar.zst.par2")
    assert found.severity.value == "error"
    assert "at byte 0" in found.what
    path.write_bytes(whole)


def test_the_percentage_stays_with_the_store(small: SmallStore):
    assert small.store.identity.parity == 20
    small.reopen()
    assert small.store.identity.parity == 20
    small.close()
    small.open(parity=0)
    assert small.store.identity.parity == 0
    assert small.protect().archives == 0
    small.reopen()
    assert small.store.identity.parity == 0


def test_another_percentage_in_the_identity_is_refused(small: SmallStore):
    path = Path(small.layout.identity)
    before = path.read_text()
    for wrong in (101, -1, "ten"):
        path.write_text(json.dumps({**json.loads(before), "parity": wrong}))
        with pytest.raises(NotAStoreError, match="parity"):
            Store.open(os.fspath(small.path))
    identity = json.loads(before)
    del identity["parity"]  # written by an earlier djafs
    path.write_text(json.dumps(identity))
    small.reopen()
    assert small.store.identity.parity == 0


def test_convert_makes_it_in_the_end(tmp_path: Path, store: Path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    for seed in range(3):
        (source / str(seed)).write_bytes(random.Random(seed).randbytes(9000))
    arguments = ["convert", "-i", str(source), "-o", str(store), "--json"]
    assert main([*arguments, "--dry-run", "--parity=100"]) == 0
    estimate = json.loads(capsys.readouterr().out)["estimate"]
    assert estimate > 2 * 27_000
    assert main([*arguments, "--parity=100"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["archives"], done["protected"]) == (1, 1)
    path = store / "archives" / "00000001.tar.zst.par2"
    assert done["parity_bytes"] == path.stat().st_size
    subprocess.run(["par2", "verify", "-q", "-q", path], check=True)
    path.unlink()
    assert main(arguments[:-1]) == 0
    assert "recovery data for 1 archive: " in capsys.readouterr().out
    assert path.exists()


def test_convert_refuses_what_it_cannot_do(tmp_path: Path, store: Path, capsys, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    arguments = ["convert", "-i", str(source), "-o", str(store), "--parity=10"]
    assert main([*arguments, "--legacy"]) == 16
    assert "--parity" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(source))
    assert main(arguments) == 8
    assert "apt install par2" in capsys.readouterr().err
    assert not store.exists()
