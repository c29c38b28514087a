"""Fixtures for every test: stores, mounts, and nothing left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from rig.daemons import end_all_below
from rig.leftovers import clear_leftovers
from rig.mount import WATCHDOG_SECONDS, Mount

# How long one example takes says more about the machine than about djafs.
settings.register_profile("djafs", deadline=None, print_blob=True)
settings.load_profile("djafs")

MountStore = Callable[..., Mount]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Clear what earlier runs left, before pytest walks into it to remove old directories.

    And have commands that tests start end with Ctrl-C, whoever started the tests: a shell that
    runs them in the background has them ignore it, and ignoring is inherited.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = session.config.option.basetemp
    clear_leftovers(str(chosen) if chosen else tempfile.gettempdir())


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A place for a store, which need not exist yet; in the end it must have no errors.

    A test that damages it says so: ``@pytest.mark.leaves_damage``.
    """
    path = tmp_path / "store"
    yield path
    if request.node.get_closest_marker("leaves_damage") is None and (path / "djafs.json").exists():
        validate(path)


def validate(path: Path) -> None:
    """Assert that the store at ``path`` is without errors."""
    from djafs.tools.validate import validate as check

    lines: list[str] = []
    status = check(os.fspath(path), verbose=False, report=lines.append)
    assert status == 0, "\n".join(["the store is not valid:", *lines])


@pytest.fixture
def mount_store(
    store: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[MountStore]:
    """A function that mounts ``store`` with the options given to it, until the test ends."""
    limit = request.node.get_closest_marker("timeout")
    seconds = limit.args[0] - 20 if limit and limit.args else WATCHDOG_SECONDS
    with ExitStack() as stack:

        def mount(*options: str) -> Mount:
            mounted = Mount(store, tmp_path / "mnt", options, seconds)
            return stack.enter_context(mounted)

        yield mount


@pytest.fixture
def mnt(tmp_path: Path) -> Iterator[Path]:
    """An empty directory for commands to mount on; whatever they mount goes in the end."""
    path = tmp_path / "mnt"
    path.mkdir()
    yield path
    end_all_below(tmp_path)


@pytest.fixture
def mounted(mount_store: MountStore) -> Mount:
    """A new store, mounted, that packs only when told to and takes everything as settled."""
    return mount_store("--gc-interval=86400", "--settle=0")
