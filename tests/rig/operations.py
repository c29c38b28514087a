"""Every call that takes a path, and things for it to work on."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing

from rig.twins import Outcome, Site

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


def _fresh(name: str) -> str:
    if not os.path.lexists(name):
        with open(name, "wb"):
            pass
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
