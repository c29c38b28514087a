"""What Linux offers beside POSIX: inotify, leases, splicing, openat2, vectors, mounting over."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Callable

import pytest

from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")

IN_ALL_EVENTS = 0xFFF
OPENAT2 = 437
"""Number of the system call, on every machine (include/uapi/asm-generic/unistd.h)."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _openat2(path: bytes, resolve: int) -> None:
    how = ctypes.create_string_buffer(struct.pack("QQQ", os.O_RDONLY, 0, resolve), 24)
    os.close(_check(_libc.syscall(OPENAT2, -100, path, how, ctypes.c_size_t(24))))


def _mount(directory: bytes) -> int:
    return _check(_libc.mount(b"none", directory, b"tmpfs", 0, None))


def events(watch: int) -> list[tuple[str, bytes]]:
    """Return what an inotify descriptor has told since the last call: mask and name."""
    found, place = [], 0
    try:
        told = os.read(watch, 65536)
    except BlockingIOError:
        return []
    while place < len(told):
        _, mask, _, length = struct.unpack_from("iIII", told, place)
        found.append((hex(mask), told[place + 16 : place + 16 + length].rstrip(b"\0")))
        place += 16 + length
    return found


def test_inotify_tells_what_happens(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        watch = _check(_libc.inotify_init1(os.O_NONBLOCK))
        for directory in (b".", b"d"):
            _check(_libc.inotify_add_watch(watch, directory, IN_ALL_EVENTS))
        for action in (
            lambda: at.make("a", b"content"),
            lambda: at.content("a"),
            lambda: at.try_open("a", os.O_WRONLY | os.O_TRUNC),
            lambda: at.truncate("a", 5),
            lambda: at.chmod("a", 0o600),
            lambda: at.setxattr("a", "user.a", b"1"),
            lambda: at.utime("a", (1, 1)),
            lambda: at.link("a", "d/b"),
            lambda: at.rename("a", "d/c"),
            lambda: at.rename("d/c", "d/b"),
            lambda: at.rename("d/b", "e"),
            lambda: at.symlink("x", "s"),
            lambda: at.mkfifo("p", 0o600),
            lambda: at.mkdir("d/sub", 0o700),
            lambda: at.call("list", lambda: os.listdir("d")),
            lambda: at.rmdir("d/sub"),
            lambda: at.unlink("e"),
            lambda: at.unlink("s"),
            lambda: at.rmdir("d"),
        ):
            action()
            at.note(repr(events(watch)))

    twins.both(scenario)


def test_moving_data_within_the_kernel(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"0123456789" * 1000)
        source = int(at.open("f", os.O_RDONLY))
        target = int(at.open("g", os.O_CREAT | os.O_RDWR))
        reading, writing = os.pipe()
        at.sendfile(target, source, 0, 5000)
        at.call("splice", lambda: os.splice(source, writing, 300, offset_src=7))
        at.call("splice", lambda: os.splice(reading, target, 300, offset_dst=4000))
        at.call("readv", lambda: os.readv(source, [bytearray(3), bytearray(5)]))
        at.call("writev", lambda: os.writev(target, [b"x" * 100_000] * 20))
        for flags in (0, os.RWF_HIPRI, os.RWF_DSYNC, os.RWF_SYNC, os.RWF_APPEND):
            at.call("preadv", lambda f=flags: os.preadv(source, [bytearray(9)], 3, f))
            at.call("pwritev", lambda f=flags: os.pwritev(target, [b"nine char"], 3, f))
        for advice in range(6):
            at.posix_fadvise(target, 0, 0, advice)
        at.call("readahead", lambda: _libc.readahead(source, ctypes.c_int64(0), 100))
        whole = ctypes.c_int64(0)
        at.call("sync", lambda: _check(_libc.sync_file_range(target, whole, whole, 7)))
        executable = mmap.PROT_READ | mmap.PROT_EXEC
        at.call("map", lambda: mmap.mmap(source, 4096, prot=executable, flags=2).close())
        at.content("g")

    twins.both(scenario)


def test_flags_and_leases_of_descriptors(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        reading = os.open("f", os.O_RDONLY)
        directory = os.open(".", os.O_RDONLY)
        calls: dict[str, Callable[[], object]] = {
            "lease": lambda: fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_RDLCK),
            "what lease": lambda: fcntl.fcntl(reading, fcntl.F_GETLEASE),
            "no lease": lambda: fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_UNLCK),
            "write lease": lambda: fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_WRLCK),
            "end": lambda: fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_UNLCK),
            "notify": lambda: fcntl.fcntl(directory, fcntl.F_NOTIFY, 0),
            "left to read": lambda: fcntl.ioctl(reading, 0x541B, bytes(4)),
            "clone": lambda: fcntl.ioctl(reading, 0x40049409, directory),
            "lock of a directory": lambda: fcntl.flock(directory, fcntl.LOCK_EX),
            "record lock of a directory": lambda: fcntl.lockf(directory, fcntl.LOCK_EX),
            "sync of a directory": lambda: os.fsync(directory),
        }
        for flags in (os.O_APPEND, os.O_NONBLOCK, os.O_NOATIME, os.O_DIRECT, os.O_SYNC, 0):
            calls[f"set {flags:o}"] = lambda f=flags: fcntl.fcntl(reading, fcntl.F_SETFL, f)
            calls[f"got {flags:o}"] = lambda: fcntl.fcntl(reading, fcntl.F_GETFL)
        for name, call in calls.items():
            at.call(name, call)
        for flags in (3, os.O_SYNC, os.O_EXCL, os.O_TRUNC, os.O_CREAT | os.O_DIRECTORY, os.O_ASYNC):
            at.try_open("f", flags)
            at.try_open(".", flags)

    twins.both(scenario)


@ROOT
def test_resolving_and_mounting_over(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.make("f")
        at.symlink("f", "link")
        for path in (b"f", b"link", b"../f", b"d/../f", b"/etc/passwd"):
            for resolve in (1, 2, 4, 8, 16):
                at.call(f"openat2 {path!r} {resolve}", lambda p=path, r=resolve: _openat2(p, r))
        at.call("mount", lambda: _mount(b"d"))
        for refused in (lambda: at.rmdir("d"), lambda: at.rename("d", "e")):
            assert refused() == "EBUSY"
        at.make("d/above")
        at.rename("d/above", "above")
        at.call("umount", lambda: _check(_libc.umount2(b"d", 0)))
        assert at.rmdir("d") is None

    twins.both(scenario)
