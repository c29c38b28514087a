"""Arguments that are no memory of the caller's: every call that takes one answers ``EFAULT``."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import stat
from collections.abc import Callable, Iterator

import pytest

from rig.syscalls import AT_FDCWD
from rig.twins import Site, Twins

_libc = ctypes.CDLL(None, use_errno=True)

NAME, NEW = b"file", b"new"


def _call(function: str, *arguments: object) -> int:
    result = getattr(_libc, function)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), function)
    return int(result)


PATHS: dict[str, Callable[[object], int]] = {  # each with the argument that is nowhere
    "open": lambda path: _call("open", path, os.O_RDONLY),
    "open with O_CREAT": lambda path: _call("open", path, os.O_WRONLY | os.O_CREAT, 0o644),
    "mkdir": lambda path: _call("mkdir", path, 0o755),
    "mkfifo": lambda path: _call("mkfifo", path, 0o644),
    "mknod": lambda path: _call("mknod", path, stat.S_IFSOCK | 0o644, ctypes.c_ulong(0)),
    "symlink from": lambda path: _call("symlink", path, NEW),
    "symlink to": lambda path: _call("symlink", NAME, path),
    "link from": lambda path: _call("link", path, NEW),
    "link to": lambda path: _call("link", NAME, path),
    "rename from": lambda path: _call("rename", path, NEW),
    "rename to": lambda path: _call("rename", NAME, path),
    "exchange": lambda path: _call("renameat2", AT_FDCWD, NAME, AT_FDCWD, path, 2),
    "unlink": lambda path: _call("unlink", path),
    "rmdir": lambda path: _call("rmdir", path),
    "chmod": lambda path: _call("chmod", path, 0o600),
    "chown": lambda path: _call("chown", path, -1, -1),
    "lchown": lambda path: _call("lchown", path, -1, -1),
    "truncate": lambda path: _call("truncate", path, ctypes.c_long(1)),
    "utimensat": lambda path: _call("utimensat", AT_FDCWD, path, None, 0x100),
    "readlink": lambda path: _call("readlink", path, ctypes.create_string_buffer(10), 10),
    "stat": lambda path: _call("stat", path, ctypes.create_string_buffer(256)),
    "access": lambda path: _call("access", path, os.R_OK),
    "chdir": lambda path: _call("chdir", path),
    "statfs": lambda path: _call("statfs", path, ctypes.create_string_buffer(256)),
    "set xattr": lambda path: _call("setxattr", path, b"user.a", b"1", ctypes.c_size_t(1), 0),
    "name of xattr": lambda name: _call("setxattr", NAME, name, b"1", ctypes.c_size_t(1), 0),
    "value of xattr": lambda v: _call("setxattr", NAME, b"user.a", v, ctypes.c_size_t(9), 0),
}

NOWHERE = ctypes.c_void_p(-4096 & (1 << 64) - 1)
"""An address that belongs to no process."""

BUFFERS: dict[str, Callable[[int], int]] = {
    "read": lambda fd: _call("pread", fd, NOWHERE, ctypes.c_size_t(4), ctypes.c_long(0)),
    "write": lambda fd: _call("pwrite", fd, NOWHERE, ctypes.c_size_t(4), ctypes.c_long(0)),
    "a long write": lambda fd: _call("write", fd, NOWHERE, ctypes.c_size_t(1 << 20)),
    "fstat": lambda fd: _call("fstat", fd, NOWHERE),
    "fstatfs": lambda fd: _call("fstatfs", fd, NOWHERE),
    "futimens": lambda fd: _call("futimens", fd, NOWHERE),
    "readlink": lambda fd: _call("readlink", b"link", NOWHERE, ctypes.c_size_t(10)),
    "get xattr": lambda fd: _call("fgetxattr", fd, b"user.set", NOWHERE, ctypes.c_size_t(10)),
    "list xattrs": lambda fd: _call("flistxattr", fd, NOWHERE, ctypes.c_size_t(100)),
}


def furnish(at: Site) -> None:
    at.make("file", b"content")
    at.symlink("file", "link")
    at.setxattr("file", "user.set", b"1")


@pytest.fixture
def addresses() -> Iterator[list[int]]:
    """One beyond every process, one that may not be read, one that runs into the latter."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    memory[:] = b"x" * (2 * page)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert _libc.mprotect(ctypes.c_void_p(begin + page), page, 0) == 0
    yield [NOWHERE.value or 0, begin + page, begin + page - 5]
    memory.close()


def test_names_and_values_that_are_nowhere(twins: Twins, addresses: list[int]):
    def scenario(at: Site) -> None:
        furnish(at)
        for operation, call in PATHS.items():
            for address in map(ctypes.c_void_p, addresses):
                assert at.call(operation, lambda a=address, c=call: c(a)) == "EFAULT"

    twins.both(scenario)


def test_buffers_that_are_nowhere(twins: Twins):
    """What fails marks no time, and writes nothing."""

    def scenario(at: Site) -> None:
        furnish(at)
        opened = int(at.open("file", os.O_RDWR))
        made = int(at.open("made", os.O_RDWR | os.O_CREAT))
        at.setxattr(made, "user.set", b"1")
        for operation, call in BUFFERS.items():
            for descriptor in (opened, made):
                act = functools.partial(at.call, operation, lambda c=call, d=descriptor: c(d))
                outcome, moved = at.marks(act, "file", "made")
                assert outcome == "EFAULT" or (outcome, descriptor) == (0, made)  # nothing to read
                assert moved == ["", ""]

    twins.both(scenario)
