"""The store that most of these tests work on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import validate
from rig.small_store import SmallStore


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallStore]:
    """A new store; in the end it must have no errors."""
    world = SmallStore(tmp_path / "store")
    yield world
    world.close()
    validate(world.path)
