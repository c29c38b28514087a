"""``validate -r`` with recovery data: archives are repaired with it, and it from archives."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.tools.repair.run import Repair
from rig.small_store import SmallStore

PERCENT = 15


@pytest.fixture
def small(store: Path) -> Iterator[SmallStore]:
    """A store, closed, with two archives and their recovery data."""
    small = SmallStore(store)
    small.close()
    small.open(parity=PERCENT)
    for seed in (1, 2):
        small.file(b"%d" % seed, random.Random(seed).randbytes(60_000))
        small.collect()
    small.protect()
    small.close()
    yield small
    small.open()
    for seed in (1, 2):
        assert small.live()[b"%d" % seed] == random.Random(seed).randbytes(60_000)
    small.close()


def repair(small: SmallStore) -> tuple[int, str]:
    """Repair the store; return the exit status and what was said."""
    lines: list[str] = []
    status = Repair(os.fspath(small.path), [], verbose=True, report=lines.append).run()
    return status, "\n".join(lines)


def spoil(path: str, at: int) -> bytes:
    """Flip a byte, and return the content before."""
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    return content


def verify(small: SmallStore, number: int) -> None:
    path = small.layout.archive_parity(number)
    subprocess.run(["par2", "verify", "-q", "-q", path], check=True)


def test_a_damaged_archive_is_whole_again_bit_for_bit(small: SmallStore):
    path = small.layout.archive(1)
    content = spoil(path, 30_000)
    status, said = repair(small)
    assert status == 1, said
    assert "archives/00000001.tar.zst: whole again, bit for bit: from its recovery data" in said
    assert Path(path).read_bytes() == content
    verify(small, 1)


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_recovery_data_is_made_again(small: SmallStore, damage: str):
    path = Path(small.layout.archive_parity(2))
    if damage == "flipped":
        spoil(os.fspath(path), 400)
    elif damage == "gone":
        path.unlink()
    else:
        os.truncate(path, 5000 if damage == "cut" else 0)
    status, said = repair(small)
    assert status == 1, said
    assert "archives/00000002.tar.zst.par2: made again from its archive" in said
    verify(small, 2)
    assert repair(small)[0] == 0


def test_all_three_files_of_an_archive_are_repaired_at_once(small: SmallStore):
    path = small.layout.archive(1)
    content = spoil(path, 30_000)
    spoil(small.layout.archive_parity(1), 100)
    Path(small.layout.archive_metadata(1)).unlink()
    status, said = repair(small)
    assert status == 1, said
    assert Path(path).read_bytes() == content
    verify(small, 1)


def test_where_parity_is_off_what_is_damaged_gets_what_it_had(small: SmallStore):
    small.open(parity=0)
    small.close()
    data = Path(small.layout.archive_parity(1))
    before = data.stat().st_size
    spoil(os.fspath(data), before - 300)
    Path(small.layout.archive_parity(2)).unlink()
    status, said = repair(small)
    assert status == 1, said
    assert data.stat().st_size == before
    assert not Path(small.layout.archive_parity(2)).exists()


def test_without_par2_nothing_is_given_up_that_it_could_bring_back(small: SmallStore, monkeypatch):
    content = spoil(small.layout.archive(1), 30_000)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", os.fspath(small.path))
        status, said = repair(small)
    assert status == 4
    assert "not repaired from its recovery data: recovery data needs the program par2" in said
    assert "it is left as it is until its recovery data can be used" in said
    status, said = repair(small)
    assert status == 1, said
    verify(small, 1)
    assert Path(small.layout.archive(1)).read_bytes() == content
