"""Repairs of random damage; and repairs that end at any step, and are run again."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from djafs.errors import NewerFormatError
from djafs.testing.power_cut import PowerCut, PowerCutHost
from rig.amount import FULL, count
from rig.broken_store import assert_repaired, damage, files_of, repair
from rig.small_store import CopyingHost

Copy = Callable[[], Path]
Recorder = Callable[[str, object], None]

WAYS = ("flip", "truncate", "remove")
DAMAGES = {
    "content": ["archives/00000002.tar.zst", "hot/00000003.log", "archives/00000001.djfm"],
    "log": ["lookups/00000003.djfl", "djafs.json"],
}


STEPS = {
    "content": {
        "repair.link",
        "repair.rename",
        "archive.rename",
        "lookup.append",
        "compaction.unlink",
    },
    "log": {"repair.link", "repair.rename", "repair.sync-directory", "repair.unlink"},
}
"""Those that a short run interrupts; the full one does it at every step."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", DAMAGES)
def test_a_kill_at_every_kind_of_step(
    built, copy: Copy, tmp_path: Path, what: str, record_property: Recorder
):
    store, host = copy(), CopyingHost()
    for name in DAMAGES[what]:
        damage(store / name, "truncate" if name == "djafs.json" else "flip", random.Random(1))
    host.root, host.target = store, tmp_path / "left"
    status, lines = repair(store, built.source, host=host)
    assert_repaired(built.contents, store, status, lines)
    steps = {left.name.split("-", 1)[1]: left for left in host.target.iterdir()}
    assert STEPS[what] <= set(steps)
    chosen = sorted(STEPS[what]) if not FULL else list(host.target.iterdir())
    for step in chosen:
        left = steps[step] if isinstance(step, str) else step
        status, lines = repair(left, built.source)
        assert_repaired(built.contents, left, status, lines)
    record_property("kills", len(chosen))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", DAMAGES)
def test_power_cuts(built, copy: Copy, tmp_path: Path, what: str, record_property: Recorder):
    store = copy()
    for name in DAMAGES[what]:
        damage(store / name, "truncate" if name == "djafs.json" else "flip", random.Random(2))
    rng, damaged = random.Random(3), tmp_path / "damaged"
    store.rename(damaged)
    cuts = 0
    for number in range(count(4, 150)):
        shutil.copytree(damaged, store)
        host = PowerCutHost(os.fspath(store), rng.randrange(1, 90))
        try:
            repair(store, built.source, host=host)
        except PowerCut:
            cuts += 1
        host.let_go()
        after = tmp_path / str(number)
        host.materialise(os.fspath(after), rng, index=True)
        status, lines = repair(after, built.source)
        assert_repaired(built.contents, after, status, lines)
        shutil.rmtree(after)
        shutil.rmtree(store)
    assert cuts
    record_property("cuts", cuts)


@pytest.mark.timeout(1800)
@settings(max_examples=count(8, 500), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32), way=st.sampled_from(WAYS), from_source=st.booleans())
def test_random_damage(built, copy: Copy, seed: int, way: str, from_source: bool):
    store, rng = copy(), random.Random(seed)
    damage(rng.choice(files_of(store)), way, rng)
    try:
        status, lines = repair(store, *[built.source] * from_source)
    except NewerFormatError:  # the number of the format was hit: that is for another djafs
        return
    assert_repaired(built.contents, store, status, lines)
    if from_source:
        assert status in (0, 1), lines
