"""The rig itself: a mount that hangs fails its test, and hangs nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from djafs.mounting.mountpoints import mount_at
from rig.leftovers import clear_leftovers
from rig.mount import Mount


def test_a_mount_that_hangs_is_killed_and_fails_its_test(tmp_path: Path):
    mount = Mount(tmp_path / "store", tmp_path / "mnt", seconds=2)
    with pytest.raises(AssertionError, match="the mount hung"), mount:
        mount.signal(signal.SIGSTOP)
        os.statvfs(mount.live)  # waits until the watchdog bites, and then fails
    assert mount_at(str(mount.mountpoint)) is None


def test_what_a_killed_run_left_is_cleared(tmp_path: Path):
    mount = Mount(tmp_path / "store", tmp_path / "mnt")
    with mount:
        mount.kill9()
        cleared = clear_leftovers(str(tmp_path))
        assert [left.mountpoint for left in cleared] == [str(mount.mountpoint)]
        assert mount_at(str(mount.mountpoint)) is None


def test_what_lives_is_not_cleared(tmp_path: Path):
    with Mount(tmp_path / "store", tmp_path / "mnt") as mount:
        assert clear_leftovers(str(tmp_path)) == []
        assert os.listdir(mount.live) == []
