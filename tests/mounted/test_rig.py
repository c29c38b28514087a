"""The rig itself: a mount that hangs fails its test, and hangs nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import rig.mount
from djafs.mounting.mountpoints import mount_at
from rig.leftovers import clear_leftovers
from rig.mount import Mount


def test_a_mount_that_hangs_is_killed_and_fails_its_test(tmp_path: Path):
    mount = Mount(tmp_path / "store", tmp_path / "mnt", seconds=2)
    with pytest.raises(AssertionError, match="the mount hung"), mount:
        mount.signal(signal.SIGSTOP)
        os.statvfs(mount.live)  # waits until the watchdog bites, and then fails
    assert mount_at(str(mount.mountpoint)) is None


def test_who_is_in_a_mount_for_a_moment_does_not_fail_its_unmounting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Mount(tmp_path / "store", tmp_path / "mnt") as mount:
        looking = subprocess.Popen(["cat"], cwd=mount.live, stdin=subprocess.PIPE)
        assert looking.stdin is not None
        run, tries = subprocess.run, []

        def run_and_let_go(*arguments, **options):
            done = run(*arguments, **options)
            tries.append(done.returncode)
            looking.communicate()  # it leaves when it has been in the way
            return done

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", run_and_let_go)
            mount.unmount()
        assert tries[0] != 0
        assert tries[-1] == 0


def test_who_stays_in_a_mount_fails_its_unmounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rig.mount, "BUSY_SECONDS", 0.2)
    with Mount(tmp_path / "store", tmp_path / "mnt") as mount:
        descriptor = os.open(mount.live, os.O_RDONLY)
        with pytest.raises(AssertionError, match="not to be busy"):
            mount.unmount()
        os.close(descriptor)


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
