"""Power cuts at every step: what was durable is there, and nothing is half there."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import validate
from djafs.disk import hot_log, lookup_log
from djafs.model import LIVE_ROOT
from djafs.store.store import Store
from djafs.testing.power_cut import Killed, PowerCutHost
from rig.amount import count
from rig.power import Life, State, content_of, live_until_cut

Recorder = Callable[[str, object], None]

CUTS = count(160, 4000)
IN_A_ROW = 4
CHANGES = 14


def recovered(path: Path) -> State:
    """Open a store as the next mount does, and return what it shows."""
    store = Store.open(os.fspath(path))
    try:
        return content_of(store)
    finally:
        store.close()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory, if there is one: nothing here waits for a disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="djafs-", dir=memory) as path:
        yield Path(path)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(8))
def test_power_cuts(
    place: Path, part: int, record_property: Recorder, monkeypatch: pytest.MonkeyPatch
):
    if part % 2:  # so that segments begin often
        monkeypatch.setattr(lookup_log, "SEGMENT", 2000)
        monkeypatch.setattr(hot_log, "SEGMENT", 200_000)
    seen: Counter[str] = Counter()
    for number in range(CUTS // 8 // IN_A_ROW):
        seen += cut_in_a_row(place / str(number), random.Random(part << 32 | number))
        shutil.rmtree(place / str(number))
    record_property("cuts", seen["cut"])
    record_property("files", seen["files"])


def cut_in_a_row(place: Path, rng: random.Random) -> Counter[str]:
    """Cut the power several times, each time in the store that the cut before has left."""
    seen: Counter[str] = Counter()
    place.mkdir()
    path, state = place / "0", State()
    for generation in range(1, IN_A_ROW + 1):
        steps = rng.randint(1, 40) if rng.random() < 0.3 else rng.randint(20, 400)
        host = PowerCutHost(os.fspath(path.parent), steps)
        life = Life(path, host, rng, state)
        is_cut = live_until_cut(life, CHANGES * 4)
        after = place / f"after-{generation}"
        host.materialise(os.fspath(after), rng, index=rng.random() < 0.7)
        path = after / path.name
        if not (path / "djafs.json").exists():
            assert not life.durable
            state = State()
            path = path if path.is_dir() else place / f"anew-{generation}"
            continue
        state = recovered(path)
        last = host.labels[-1]
        assert state in life.states[life.durable :], (
            f"cut {generation} before {last}: {sorted(state)} is no state since the last sync; "
            f"state {life.states.index(state) if state in life.states else None} of "
            f"{len(life.states)}, durable {life.durable}"
        )
        validate(path)
        seen["cut"] += is_cut
        seen["files"] += len(state)
    return seen


@pytest.mark.parametrize("kill_at", range(1, 11))
def test_a_store_whose_maker_was_killed_is_durable_when_the_next_one_says_so(
    place: Path, kill_at: int
):
    place.mkdir(exist_ok=True)
    root = place / "disk"
    root.mkdir()
    host = PowerCutHost(os.fspath(root))
    host.kill_at = kill_at
    with contextlib.suppress(Killed):
        Store.open(os.fspath(root / "store"), create=True, host=host)
    host.let_go()
    host.kill_at = None
    store = Store.open(os.fspath(root / "store"), create=True, host=host)
    with store.guard:
        store.create(LIVE_ROOT, b"kept", 0o100644, 0, 0)
    store.syncer.make_durable(store.log.seq)
    for seed in range(8):
        after = place / f"after-{seed}"
        host.materialise(os.fspath(after), random.Random(seed), index=False)
        again = Store.open(os.fspath(after / "store"))
        assert again.dentry(LIVE_ROOT, b"kept") is not None
        again.close()
        validate(after / "store")
    store.close()
