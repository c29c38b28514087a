"""djafs validate -r: every kind of file of a store, damaged in every way."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.broken_store import assert_repaired, damage, files_of, repair

Copy = Callable[[], Path]

WAYS = ("flip", "truncate", "remove")
FILES = (
    "djafs.json", "hot/00000003.log", "index.sqlite", "lookups/00000001.djfc.zst",
    "lookups/00000002.djfl.zst", "lookups/00000003.djfl", "archives/00000001.tar.zst",
    "archives/00000002.tar.zst", "archives/00000002.djfm",
)  # fmt: skip


def test_the_store_has_every_kind_of_file(built):
    present = {os.fspath(file.relative_to(built.store)) for file in files_of(built.store)}
    assert set(FILES) < present


def test_a_store_that_is_whole(built, copy: Copy):
    store = copy()
    before = {file: file.read_bytes() for file in files_of(store)}
    status, lines = repair(store)
    assert (status, lines[-1]) == (0, "0 errors")
    assert {file: file.read_bytes() for file in files_of(store)} == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_damage(built, copy: Copy, name: str, way: str):
    store = copy()
    damage(store / name, way, random.Random(f"{name} {way}"))
    status, lines = repair(store)
    assert_repaired(built.contents, store, status, lines)
    if status == 4:
        status, lines = repair(store, built.source)
        assert status == 1, lines
        assert_repaired(built.contents, store, status, lines)
