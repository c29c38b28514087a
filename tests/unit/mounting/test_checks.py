"""What djafs mount refuses; where something has to be mounted, see tests/mounted."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from djafs.errors import MountError
from djafs.mounting import checks
from djafs.mounting.checks import check
from djafs.mounting.options import MountOptions


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has all it needs: fusermount3, /dev/fuse and nothing in fuse.conf."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "fusermount3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "fusermount3").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    (tmp_path / "fuse").touch()
    monkeypatch.setattr(checks, "DEVICE", str(tmp_path / "fuse"))
    (tmp_path / "fuse.conf").write_text("#user_allow_other\n")
    monkeypatch.setattr(checks, "FUSE_CONFIGURATION", str(tmp_path / "fuse.conf"))
    return tmp_path


def options(
    tmp_path: Path, storage: str = "store", mountpoint: str = "mnt", **more
) -> MountOptions:
    (tmp_path / "mnt").mkdir(exist_ok=True)
    return MountOptions(
        os.path.realpath(tmp_path / storage), os.path.realpath(tmp_path / mountpoint), **more
    )


def refusal(chosen: MountOptions) -> str:
    with pytest.raises(MountError) as caught:
        check(chosen)
    return str(caught.value)


def test_an_empty_directory_and_a_new_store_are_fine(tmp_path: Path):
    check(options(tmp_path))


def test_fusermount3_missing(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert refusal(options(tmp_path)) == (
        "fusermount3 is missing; install it with: apt install fuse3"
    )


def test_dev_fuse_missing(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(checks, "DEVICE", "/dev/no-such-device")
    assert "/dev/no-such-device is missing; install it with: apt install fuse3" in refusal(
        options(tmp_path)
    )


def test_mountpoint_missing(tmp_path: Path):
    assert refusal(options(tmp_path, mountpoint="no such")) == (
        f"mountpoint {tmp_path}/no such does not exist; create it with: mkdir '{tmp_path}/no such'"
    )


def test_mountpoint_a_file(tmp_path: Path):
    (tmp_path / "file").touch()
    assert refusal(options(tmp_path, mountpoint="file")) == (
        f"mountpoint {tmp_path}/file is not a directory"
    )


def test_mountpoint_not_empty(tmp_path: Path):
    chosen = options(tmp_path)
    (tmp_path / "mnt" / ".hidden").touch()
    assert f"{tmp_path}/mnt is not empty: it holds .hidden" in refusal(chosen)


def test_mountpoint_taken():
    chosen = MountOptions("/srv/store", "/proc")
    assert refusal(chosen).startswith("proc (type proc) is mounted on /proc; unmount it")


def test_store_is_the_mountpoint(tmp_path: Path):
    assert "inside" in refusal(options(tmp_path, storage="mnt"))


@pytest.mark.parametrize("storage", ["mnt/store", "mnt/a/b/store", "link/store"])
def test_store_inside_the_mountpoint(tmp_path: Path, storage: str):
    (tmp_path / "link").symlink_to("mnt")
    chosen = options(tmp_path, storage=storage)
    assert refusal(chosen) == (
        f"the store {chosen.storage} lies inside the mountpoint {tmp_path}/mnt"
    )


@pytest.mark.parametrize("mountpoint", ["store/mnt", "store/a/mnt", "link/mnt"])
def test_mountpoint_inside_the_store(tmp_path: Path, mountpoint: str):
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store")
    (tmp_path / mountpoint).mkdir(parents=True)
    chosen = options(tmp_path, mountpoint=mountpoint)
    assert refusal(chosen) == (
        f"the mountpoint {chosen.mountpoint} lies inside the store {tmp_path}/store"
    )


def test_neighbours_with_a_common_beginning_do_not_overlap(tmp_path: Path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store-mnt").mkdir()
    check(options(tmp_path, mountpoint="store-mnt"))


def test_mountpoint_inside_the_store_by_a_bind_mount(tmp_path: Path):
    if os.geteuid() != 0:
        pytest.skip("only root can make a bind mount")
    (tmp_path / "store" / "mnt").mkdir(parents=True)
    (tmp_path / "bound").mkdir()
    subprocess.run(["/bin/mount", "--bind", tmp_path / "store", tmp_path / "bound"], check=True)
    try:
        chosen = options(tmp_path, mountpoint="bound/mnt")
        assert "lies inside the store" in refusal(chosen)
    finally:
        subprocess.run(["/bin/umount", tmp_path / "bound"], check=True)


def test_allow_other_needs_permission_unless_root(tmp_path: Path, monkeypatch):
    chosen = options(tmp_path, allow_other=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs the line user_allow_other in" in refusal(chosen)
    (tmp_path / "fuse.conf").unlink()
    assert "needs the line user_allow_other in" in refusal(chosen)
    (tmp_path / "fuse.conf").write_text("mount_max = 7\n user_allow_other \n")
    check(chosen)
    (tmp_path / "fuse.conf").unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    check(chosen)


def test_a_store_that_is_locked_but_mounted_nowhere_is_waited_for(tmp_path: Path, monkeypatch):
    """Its daemon has lost its mount, and has not yet noticed."""
    (tmp_path / "store").mkdir()
    with open(tmp_path / "store" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waited: list[float] = []

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                fcntl.flock(lock, fcntl.LOCK_UN)

        monkeypatch.setattr("time.sleep", wait)
        check(options(tmp_path))
        assert len(waited) == 3


def test_a_lock_that_stays_is_left_for_the_store_to_refuse(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(checks, "ENDING_SECONDS", 0.01)
    (tmp_path / "store").mkdir()
    with open(tmp_path / "store" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(options(tmp_path))
