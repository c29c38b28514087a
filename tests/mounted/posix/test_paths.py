"""Every operation on every kind of path that is wrong: too long, not there, not a directory, …"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from rig.twins import Outcome, Site, Twins

OPERATIONS: dict[str, Callable[[Site, str], Outcome]] = {
    "open": lambda at, path: at.try_open(path, os.O_RDONLY),
    "open for writing": lambda at, path: at.try_open(path, os.O_WRONLY),
    "open with O_TRUNC": lambda at, path: at.try_open(path, os.O_WRONLY | os.O_TRUNC),
    "open with O_CREAT": lambda at, path: at.try_open(path, os.O_RDWR | os.O_CREAT),
    "open with O_EXCL": lambda at, path: at.try_open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "open with O_NOFOLLOW": lambda at, path: at.try_open(path, os.O_RDONLY | os.O_NOFOLLOW),
    "open with O_DIRECTORY": lambda at, path: at.try_open(path, os.O_RDONLY | os.O_DIRECTORY),
    "open with O_TMPFILE": lambda at, path: at.try_open(path, os.O_RDWR | os.O_TMPFILE),
    "open with O_PATH": lambda at, path: at.try_open(path, os.O_PATH),
    "mkdir": lambda at, path: at.mkdir(path, 0o755),
    "rmdir": lambda at, path: at.rmdir(path),
    "mkfifo": lambda at, path: at.mkfifo(path, 0o644),
    "mknod of a file": lambda at, path: at.mknod(path, 0o100644),
    "bind": lambda at, path: at.call("bind", _bind, path),
    "symlink": lambda at, path: at.symlink("target", path),
    "link from": lambda at, path: at.link(path, "new", follow_symlinks=False),
    "link to": lambda at, path: at.link("file", path),
    "unlink": lambda at, path: at.unlink(path),
    "rename from": lambda at, path: at.rename(path, "new"),
    "rename to": lambda at, path: at.rename(_fresh("source"), path),
    "rename a directory to": lambda at, path: at.rename(_fresh_directory("source-dir"), path),
    "exchange with": lambda at, path: at.renameat2("file", path, 2),
    "rename without replacing": lambda at, path: at.renameat2(_fresh("source"), path, 1),
    "chmod": lambda at, path: at.chmod(path, 0o600),
    "chown": lambda at, path: at.chown(path, -1, -1),
    "lchown": lambda at, path: at.lchown(path, -1, -1),
    "truncate": lambda at, path: at.truncate(path, 3),
    "utime": lambda at, path: at.utime(path, (1, 2)),
    "utime of a link": lambda at, path: at.utime(path, (1, 2), follow_symlinks=False),
    "stat": lambda at, path: at.stat(path),
    "lstat": lambda at, path: at.lstat(path),
    "readlink": lambda at, path: at.readlink(path),
    "list": lambda at, path: at.call("list", lambda path: sorted(os.listdir(path)), path),
    "set xattr": lambda at, path: at.setxattr(path, "user.x", b"1"),
    "get xattr": lambda at, path: at.getxattr(path, "user.x"),
    "list xattrs": lambda at, path: at.listxattr(path),
    "remove xattr": lambda at, path: at.removexattr(path, "user.x"),
}

MAKERS = ("open with O_CREAT", "open with O_EXCL", "mkdir", "mkfifo", "symlink", "link to")

A_COMPONENT = 255
"""NAME_MAX."""


def _fresh(name: str) -> str:
    with open(name, "wb"):
        return name


def _fresh_directory(name: str) -> str:
    os.makedirs(name, exist_ok=True)
    return name


def _bind(path: str) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno is None:  # sun_path has room for 107 bytes
                raise OSError(36, "AF_UNIX path too long") from error
            raise


def furnish(at: Site) -> None:
    """Make what the operations need, anew."""
    at.make("file", b"content")
    at.mkdir("dir", 0o755)
    at.symlink("loop", "loop")
    at.symlink("nowhere/to/go", "dangling")
    at.symlink("dir", "to-dir")
    at.symlink("file", "to-file")


each_operation = pytest.mark.parametrize("operation", OPERATIONS)


@each_operation
def test_names_of_up_to_255_bytes(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        longest, longer = "n" * A_COMPONENT, "n" * (A_COMPONENT + 1)
        for name in (longest, "é" * 127 + "x", f"dir/{longest}"):
            outcome = act(at, name)
            assert outcome != "ENAMETOOLONG" or operation == "bind"
            if operation in MAKERS and outcome is None:
                at.call("remove", _remove, name)
        for name in (longer, "é" * 128, f"dir/{longer}", f"{longer}/x"):
            assert act(at, name) == "ENAMETOOLONG"

    twins.both(scenario)


@each_operation
def test_paths_of_up_to_4095_bytes(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        assert act(at, "./" * 2047 + "d") != "ENAMETOOLONG" or operation == "bind"
        assert act(at, "./" * 2047 + "dd") == "ENAMETOOLONG"
        assert act(at, "dir/../" * 800) == "ENAMETOOLONG"

    twins.both(scenario)


@each_operation
def test_prefixes_that_lead_nowhere(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        assert act(at, "missing/x") == "ENOENT"
        assert act(at, "file/x") == "ENOTDIR"
        assert act(at, "to-file/x") == "ENOTDIR"
        assert act(at, "dangling/x") == "ENOENT"
        assert act(at, "loop/x") == "ELOOP"
        if operation != "bind":  # to the empty path: to any abstract address
            assert act(at, "") == "ENOENT"

    twins.both(scenario)


@each_operation
def test_what_stands_at_the_end(twins: Twins, operation: str):
    names = (
        *("file", "dir", "loop", "dangling", "to-dir", "to-file", "missing"),
        *("file/", "dir/", "to-dir/", "to-file/", "missing/", "dangling/"),
        *(".", "..", "dir/.", "dir/.."),
    )

    def scenario(at: Site) -> None:
        for number, name in enumerate(names):
            at.mkdir(f"{number}", 0o777)
            os.chdir(f"{number}")
            furnish(at)
            OPERATIONS[operation](at, name)
            os.chdir("..")

    twins.both(scenario)


def _remove(path: str) -> None:
    (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)


@pytest.mark.parametrize("operation", MAKERS)
def test_names_that_are_taken(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        at.mkfifo("fifo", 0o644)
        for taken in ("dir", "loop", "dangling", "fifo", "to-dir"):
            if operation != "open with O_CREAT":
                assert OPERATIONS[operation](at, taken) == "EEXIST"

    twins.both(scenario)


def test_chains_of_forty_links(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("l0", b"end")
        for number in range(1, 43):
            at.symlink(f"l{number - 1}", f"l{number}")
        assert at.content("l40") == b"end"
        assert at.content("l41") == "ELOOP"

    twins.both(scenario)


def test_any_byte_in_a_name(twins: Twins):
    def scenario(at: Site) -> None:
        for byte in range(1, 256):
            name = os.fsdecode(b"n" + bytes([byte]))
            at.make(name if byte != ord("/") else "slash", bytes([byte]))
        for name in ("\udcff\udc80", "\u00e9", "e\u0301", "😀", "\udced\udca0\udc80", " ", "\n"):
            at.mkdir(name, 0o755)
            assert at.make(name + "/" + name, os.fsencode(name)) is None
        at.note(repr(sorted(os.listdir(b"."))))

    twins.both(scenario)
