"""Two things that wait for the disk are done at the same time."""

from __future__ import annotations

import threading

import pytest

from djafs.disk.beside import Beside
from djafs.disk.host import Host

PATIENCE = 30.0


def nothing() -> None:
    pass


def failing() -> None:
    raise OSError("other")


def test_both_run_at_the_same_time():
    host, meeting = Host(), threading.Barrier(2)
    for _ in range(3):
        host.both(lambda: meeting.wait(PATIENCE), lambda: meeting.wait(PATIENCE))


def test_what_fails_is_raised_once_both_have_ended():
    beside, ended = Beside(), []
    with pytest.raises(OSError, match="other"):
        beside.both(lambda: ended.append("one"), failing)
    with pytest.raises(ZeroDivisionError):
        beside.both(lambda: ended.append(1 // 0), lambda: ended.append("other"))
    assert ended == ["one", "other"]
    beside.both(nothing, nothing)  # an error is told once
    beside.end()


def test_the_first_error_counts_when_both_fail():
    beside = Beside()
    with pytest.raises(ZeroDivisionError):
        beside.both(lambda: print(1 // 0), failing)
    beside.both(nothing, nothing)
    beside.end()


def test_the_thread_ends_with_the_host():
    host, used = Host(), []
    host.both(nothing, lambda: used.append(threading.current_thread()))
    del host
    used[0].join(PATIENCE)
    assert not used[0].is_alive()
