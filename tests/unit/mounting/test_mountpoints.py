"""Reading /proc/self/mountinfo."""

from __future__ import annotations

import errno
import os

import pytest

from djafs.mounting.mountpoints import Mount, mount_at, mounts, parse, probe, resolve


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (
            b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
            Mount("/mnt2", "ext3", "/dev/root"),
        ),
        (
            b"41 24 0:36 / /mnt/archive rw,nosuid - fuse.djafs /srv/store rw,user_id=0",
            Mount("/mnt/archive", "fuse.djafs", "/srv/store"),
        ),
        (
            b"41 24 0:36 / /m\\040p\\011\\012\\134 rw master:2 - fuse.djafs /s\\040\\043 rw",
            Mount("/m p\t\n\\", "fuse.djafs", "/s #"),
        ),
        (
            b"41 24 0:36 / /m\xff\xc3\xa4 rw - fuse.djafs /s\xfe rw",
            Mount("/m\udcff\u00e4", "fuse.djafs", "/s\udcfe"),
        ),
        (
            b"41 24 0:36 / /\\134040 rw - tmpfs tmpfs rw",
            Mount("/\\040", "tmpfs", "tmpfs"),
        ),
    ],
)
def test_a_line(line, mount):
    assert parse(line) == mount


def test_only_fuse_djafs_is_djafs():
    assert Mount("/m", "fuse.djafs", "/s").is_djafs
    assert not Mount("/m", "fuse.sshfs", "/s").is_djafs


def test_this_machine_has_a_proc():
    found = mount_at("/proc")
    assert found is not None
    assert found.type == "proc"
    assert found in mounts()


def test_nothing_is_mounted_on_a_plain_directory(tmp_path):
    assert mount_at(str(tmp_path)) is None


def test_a_mountpoint_is_resolved_without_being_looked_at(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("/proc")
    assert resolve(tmp_path / "link") == "/proc"
    monkeypatch.setattr(os, "lstat", lambda path: pytest.fail(f"{path} was looked at"))
    monkeypatch.chdir("/")
    assert resolve("proc/") == "/proc"


def test_a_probe_tells_what_the_filesystem_answered(tmp_path):
    assert probe(str(tmp_path), 10) == 0
    assert probe(str(tmp_path / "no"), 10) == errno.ENOENT


def test_a_probe_gives_up(monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda path: os.read(silent, 1))
    silent, writing = os.pipe()
    try:
        assert probe("/", 0.01) is None
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)  # the child that waited is gone
    finally:
        os.close(silent)
        os.close(writing)
