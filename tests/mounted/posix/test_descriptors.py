"""Calls on descriptors of every kind, and relative to those of directories, also removed ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import pytest

from rig.kinds import KINDS, MAKE
from rig.syscalls import AT_SYMLINK_FOLLOW, linkat
from rig.twins import Outcome, Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make devices")

RELATIVE: dict[str, Callable[[Site, int, str], Outcome]] = {
    "open": lambda at, fd, path: at.call("open", _try_open, path, os.O_RDONLY, fd),
    "create": lambda at, fd, path: at.call("open", _try_open, path, os.O_CREAT | os.O_EXCL, fd),
    "unnamed": lambda at, fd, path: at.call("open", _try_open, path, os.O_TMPFILE | os.O_RDWR, fd),
    "mkdir": lambda at, fd, path: at.mkdir(path, 0o755, dir_fd=fd),
    "mkfifo": lambda at, fd, path: at.mkfifo(path, 0o644, dir_fd=fd),
    "mknod": lambda at, fd, path: at.mknod(path, stat.S_IFSOCK | 0o644, dir_fd=fd),
    "symlink": lambda at, fd, path: at.symlink("target", path, dir_fd=fd),
    "link from": lambda at, fd, path: at.link(path, "new", src_dir_fd=fd, follow_symlinks=False),
    "link to": lambda at, fd, path: at.link("file", path, dst_dir_fd=fd, follow_symlinks=False),
    "rename from": lambda at, fd, path: at.rename(path, "new", src_dir_fd=fd),
    "rename to": lambda at, fd, path: at.rename("source", path, dst_dir_fd=fd),
    "unlink": lambda at, fd, path: at.unlink(path, dir_fd=fd),
    "rmdir": lambda at, fd, path: at.rmdir(path, dir_fd=fd),
    "chmod": lambda at, fd, path: at.chmod(path, 0o640, dir_fd=fd),
    "chown": lambda at, fd, path: at.chown(path, -1, -1, dir_fd=fd, follow_symlinks=False),
    "utime": lambda at, fd, path: at.utime(path, (1, 2), dir_fd=fd, follow_symlinks=False),
    "stat": lambda at, fd, path: at.stat(path, dir_fd=fd, follow_symlinks=False),
    "readlink": lambda at, fd, path: at.readlink(path, dir_fd=fd),
    "access": lambda at, fd, path: at.access(path, os.R_OK, dir_fd=fd, effective_ids=True),
}

OF_DESCRIPTORS: dict[str, Callable[[Site, int], Outcome]] = {
    "stat": lambda at, fd: at.fstat(fd),
    "chmod": lambda at, fd: at.fchmod(fd, 0o600),
    "chown": lambda at, fd: at.fchown(fd, -1, -1),
    "truncate": lambda at, fd: at.ftruncate(fd, 1),
    "utime": lambda at, fd: at.utime(fd, (1, 2)),
    "fallocate": lambda at, fd: at.fallocate(fd, 0, 0, 10),
    "read": lambda at, fd: at.pread(fd, 1, 0),
    "write": lambda at, fd: at.pwrite(fd, b"x", 0),
    "seek": lambda at, fd: at.lseek(fd, 0, os.SEEK_SET),
    "data": lambda at, fd: at.lseek(fd, 0, os.SEEK_DATA),
    "fsync": lambda at, fd: at.fsync(fd),
    "fdatasync": lambda at, fd: at.fdatasync(fd),
    "chdir": lambda at, fd: at.call("fchdir", _enter, fd),
    "list": lambda at, fd: at.call("list", lambda: sorted(os.listdir(fd))),
    "set xattr": lambda at, fd: at.setxattr(fd, "user.a", b"1"),
    "get xattr": lambda at, fd: at.getxattr(fd, "user.a"),
    "list xattrs": lambda at, fd: at.listxattr(fd),
    "link through /proc": lambda at, fd: at.call(
        "link", lambda: linkat(f"/proc/self/fd/{fd}", "linked", AT_SYMLINK_FOLLOW)
    ),
    "chmod through /proc": lambda at, fd: at.call(
        "chmod", lambda: os.chmod(f"/proc/self/fd/{fd}", 0o611)
    ),
    "open through /proc": lambda at, fd: at.call(
        "open", lambda: os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_NONBLOCK))
    ),
    "relative": lambda at, fd: at.stat("inside", dir_fd=fd),
    "the empty path": lambda at, fd: at.stat("", dir_fd=fd),
}


def _try_open(path: str, flags: int, fd: int) -> None:
    os.close(os.open(path, flags, 0o644, dir_fd=fd))


def _enter(fd: int) -> None:
    here = os.open(".", os.O_PATH)
    os.fchdir(fd)
    os.fchdir(here)
    os.close(here)


def test_paths_relative_to_a_descriptor(twins: Twins):
    def scenario(at: Site) -> None:
        for operation, act in RELATIVE.items():
            at.mkdir("in", 0o755)
            os.chdir("in")
            for name in ("file", "source", "another"):
                at.make(name, b"content")
            for name in ("d", "gone"):
                at.mkdir(name, 0o755)
            at.make("d/x", b"x")
            at.symlink("x", "d/link")
            directory = os.open("d", os.O_RDONLY)
            by_path = os.open("d", os.O_PATH)
            gone = os.open("gone", os.O_RDONLY)
            file = os.open("file", os.O_RDONLY)
            at.rmdir("gone")
            at.note(operation)
            for descriptor, refusal in ((gone, "ENOENT"), (file, "ENOTDIR"), (999, "EBADF")):
                assert act(at, descriptor, "x") in (refusal, False)  # access(2) only says no
            for path in ("", "x", "link", ".", "..", "../another", "missing", "x/y"):
                act(at, directory, path)
                act(at, by_path, path)
            act(at, gone, ".")
            act(at, gone, "..")
            for descriptor in (directory, by_path, gone, file):
                os.close(descriptor)
            os.chdir("..")
            at.rename("in", operation)

    twins.both(scenario)


@ROOT
@pytest.mark.parametrize("unlinked", [False, True], ids=["named", "unlinked"])
def test_calls_on_descriptors_of_every_kind(twins: Twins, unlinked: bool):
    """With O_PATH any, without it those that can be opened; also when the name has gone."""

    def scenario(at: Site) -> None:
        for kind in KINDS:
            for flags in (os.O_PATH, os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                if flags == os.O_PATH or kind in ("file", "directory", "fifo"):
                    at.mkdir("in", 0o755)
                    os.chdir("in")
                    call_everything(at, kind, flags, unlinked)
                    os.chdir("..")
                    at.rename("in", f"{kind}-{flags}")

    twins.both(scenario)


def call_everything(at: Site, kind: str, flags: int, unlinked: bool) -> None:
    MAKE[kind](at, "x", 0o755)
    descriptor = at.open("x", flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    if isinstance(descriptor, str):
        return
    if unlinked:
        (os.rmdir if kind == "directory" else os.unlink)("x")
    for operation, act in OF_DESCRIPTORS.items():
        if (kind, operation) != ("directory", "data"):  # ext4 knows of data in a directory
            at.note(operation)
            act(at, descriptor)
    os.close(descriptor)
