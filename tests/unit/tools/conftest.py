"""The store that validation is tested with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.dated_store import World


@pytest.fixture
def open_world(tmp_path: Path) -> Iterator[World]:
    """The store, in use."""
    world = World(tmp_path / "store")
    yield world
    world.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The store, closed."""
    world = World(tmp_path / "store")
    world.close()
    return world
