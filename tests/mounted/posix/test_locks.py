"""flock(2) and POSIX record locks, between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from rig.twins import Site, Twins


def in_child(function: Callable[[], None]) -> str:
    """Return how a call goes in another process: "ok" or the name of its errno."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            function()
            os.write(writing, b"ok")
        except OSError as error:
            os.write(writing, errno.errorcode[error.errno or 0].encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 100).decode()
    os.close(reading)
    os.waitpid(child, 0)
    return said


def test_flock(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"1")

        def take(how: int) -> Callable[[], None]:
            return lambda: fcntl.flock(os.open("f", os.O_RDWR), how | fcntl.LOCK_NB)

        held = os.open("f", os.O_RDWR)
        for mine in (fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN):
            fcntl.flock(held, mine)
            for theirs in (fcntl.LOCK_SH, fcntl.LOCK_EX):
                at.note(f"{mine} {theirs} {in_child(take(theirs))}")
        fcntl.flock(held, fcntl.LOCK_EX)
        assert in_child(take(fcntl.LOCK_SH)) == "EAGAIN"
        os.close(held)
        assert in_child(take(fcntl.LOCK_EX)) == "ok"

    twins.both(scenario)


def test_record_locks(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", bytes(1000))
        held = os.open("f", os.O_RDWR)

        def take(how: int, length: int, start: int) -> Callable[[], None]:
            return lambda: fcntl.lockf(os.open("f", os.O_RDWR), how | fcntl.LOCK_NB, length, start)

        fcntl.lockf(held, fcntl.LOCK_EX, 100, 100)
        fcntl.lockf(held, fcntl.LOCK_SH, 100, 500)
        for how in (fcntl.LOCK_SH, fcntl.LOCK_EX):
            for start in (0, 99, 100, 199, 200, 450, 500, 599, 600, 2000):
                at.note(f"{how} {start} {in_child(take(how, 1, start))}")
        assert in_child(take(fcntl.LOCK_EX, 0, 0)) == "EAGAIN"
        os.close(os.open("f", os.O_RDONLY))  # closing any descriptor lets all of them go
        assert in_child(take(fcntl.LOCK_EX, 0, 0)) == "ok"

    twins.both(scenario)


def test_open_file_description_locks(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", bytes(100))
        get, put = 36, 37  # F_OFD_GETLK, F_OFD_SETLK
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 10, 10, 0)
        one, other = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
        at.call("lock", lambda: fcntl.fcntl(one, put, lock) and None)
        assert at.call("lock again", lambda: fcntl.fcntl(other, put, lock) and None) == "EAGAIN"
        at.call("ask", lambda: fcntl.fcntl(other, get, lock))

    twins.both(scenario)


def test_waiting_for_a_lock_ends_when_it_is_free(twins: Twins):
    path = twins.live / "f"
    path.touch()
    held = os.open(path, os.O_RDWR)
    fcntl.lockf(held, fcntl.LOCK_EX)
    ready_reading, ready_writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready_writing, b"1")
        descriptor = os.open(path, os.O_RDWR)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, b"mine")
        os._exit(0)
    os.read(ready_reading, 1)
    assert path.read_bytes() == b""
    fcntl.lockf(held, fcntl.LOCK_UN)
    assert os.waitpid(child, 0)[1] == 0
    os.close(held)
    assert path.read_bytes() == b"mine"
