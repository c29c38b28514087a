"""Fixtures of a store to damage: built once, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from rig.broken_store import Contents, build


class Built(NamedTuple):
    """A store that is whole, a copy of its documents, and what is in it."""

    store: Path
    source: Path
    contents: Contents


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("whole")
    contents = build(place / "store", place / "source")
    return Built(place / "store", place / "source", contents)


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Callable[[], Path]:
    """A function that gives a fresh copy of the store."""

    def make() -> Path:
        path = tmp_path / "store"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(built.store, path)
        return path

    return make
