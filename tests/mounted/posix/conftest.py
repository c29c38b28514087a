"""A mount for each module, and beside it a directory of a filesystem that is the model."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rig.command import djafs_ok
from rig.mount import Mount
from rig.twins import Twins
from rig.unprivileged import let_others_reach

_number = itertools.count()


def _type_of(path: Path) -> str:
    """Return the type of the filesystem that holds ``path``."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == wanted:
            return line.partition(" - ")[2].split()[0]
    return "unknown"


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of an ext4 filesystem."""
    candidates = [tmp_path_factory.mktemp("plain"), Path("/var/tmp"), Path(__file__).parent]
    for base in candidates:
        if _type_of(base) == "ext4":
            with tempfile.TemporaryDirectory(dir=base) as directory:
                os.chmod(directory, 0o755)
                yield Path(directory)
            return
    pytest.skip("no ext4 filesystem here to compare with")


@pytest.fixture(scope="module")
def shared_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount for all tests of a module; in the end its store must be valid."""
    base = tmp_path_factory.mktemp("posix")
    options = ("--gc-interval=86400", "--settle=0")
    with Mount(base / "store", base / "mnt", options, seconds=300) as mount:
        let_others_reach(base)
        yield mount
    djafs_ok("validate", "-p", base / "store")


@pytest.fixture
def twins_of(beside: Path) -> Callable[[Mount], Twins]:
    """A function that makes an empty directory in a mount and one on ext4, open to every user."""

    def make(mount: Mount) -> Twins:
        name = f"{next(_number)}"
        for base in (mount.live, beside):
            os.mkdir(base / name)
            os.chmod(base / name, 0o777)
        return Twins(mount.live / name, beside / name)

    return make


@pytest.fixture
def twins(shared_mount: Mount, twins_of: Callable[[Mount], Twins]) -> Twins:
    """An empty directory of the mount and one of ext4."""
    return twins_of(shared_mount)
