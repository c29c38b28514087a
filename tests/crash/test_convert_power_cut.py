"""Power cuts while a tree is converted: a valid store is left, and the next run completes it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from conftest import validate
from djafs.store.store import Store
from djafs.testing.power_cut import PowerCut, PowerCutHost
from djafs.tools.convert import intake, run
from djafs.tools.convert.options import Options
from djafs.tools.convert.run import convert
from djafs.tools.convert.summary import Summary
from djafs.tools.export.run import export
from djafs.tools.export.view import NOW
from rig.amount import count
from rig.sources import write
from rig.trees import at, files

CUTS = count(8, 400)


def bring(source: Path, store: Path) -> Summary:
    return convert(Options(os.fspath(source), os.fspath(store), threads=1), lambda summary: False)


def content(store: Path, to: Path) -> dict[bytes, object]:
    export(os.fspath(store), NOW, b"", os.fspath(to), lambda summary: False)
    return files(to)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(60):
        text = b"{%d}" % (number // 2 if number % 3 else number)
        write(tmp_path / f"source/{number % 12}/{number}", text, at(2024, 1, 1 + number % 20))
    os.link(tmp_path / "source/0/0", tmp_path / "source/linked")
    write(tmp_path / "source/large", b"0123456789abcdef" * (17 << 16), at(2024, 2, 2))
    return tmp_path / "source"


def cut_off(source: Path, place: Path, rng: random.Random, monkeypatch) -> Path:
    """Convert until the power goes; return what a disk might hold then."""
    # Whatever is cut off at first is brought by a later run, whose cut may come later.
    host = PowerCutHost(os.fspath(place), rng.randint(20, 140))
    opening = Store.open
    with monkeypatch.context() as patch:
        patch.setattr(
            run.Store, "open", lambda *given, **named: opening(*given, **named, host=host)
        )
        try:
            bring(source, place / "store")
        except PowerCut:
            assert host.is_off
    host.materialise(os.fspath(place) + "-after", rng, index=rng.random() < 0.7)
    return Path(os.fspath(place) + "-after") / "store"


@pytest.mark.parametrize("part", range(2))
def test_a_power_cut_leaves_a_valid_store_that_the_next_run_completes(
    part: int, source: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(intake, "MOST_CHANGES", 9)
    whole = files(source)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for number in range(CUTS // 2):
        with tempfile.TemporaryDirectory(prefix="djafs-", dir=memory) as made:
            rng = random.Random(part << 32 | number)
            place = Path(made) / "disk"
            place.mkdir()
            store = cut_off(source, place, rng, monkeypatch)
            if (store / "djafs.json").exists():
                assert content(store, Path(made) / "half").items() <= whole.items()
                validate(store)
            elif store.exists() and not store.is_dir():
                shutil.rmtree(store)
            assert not bring(source, store).problems
            validate(store)
            assert content(store, Path(made) / "whole") == whole
