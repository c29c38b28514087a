"""Waiting for requests: awake as long as that pays, asleep otherwise."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import pytest

from djafs.fuse import vigil
from djafs.fuse.vigil import Vigil

LOOK = 0


class Poll:
    """Stands in for select.poll: what was asked, and whether there is something to read."""

    def __init__(self) -> None:
        self.ready = False
        self.sleeps = 0
        self.looks = 0

    def register(self, descriptor: int, events: int) -> None:
        assert events == select.POLLIN

    def poll(self, timeout: int | None = None) -> list[tuple[int, int]]:
        if timeout == LOOK:
            self.looks += 1
        else:
            assert timeout is None
            self.sleeps += 1
        return [(0, select.POLLIN)] if self.ready or timeout is None else []


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        yield here, there


@pytest.fixture
def poll(monkeypatch: pytest.MonkeyPatch) -> Poll:
    """Replace select.poll, and let each reading of the clock take a tenth of AWAKE."""
    made = Poll()
    monkeypatch.setattr(select, "poll", lambda: made)
    ticks = iter(range(1_000_000))
    monkeypatch.setattr(vigil, "perf_counter", lambda: next(ticks) * vigil.AWAKE / 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return made


def test_what_is_there_is_found(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    waiting = Vigil(here.fileno())
    for message in (b"one", b"two"):
        there.send(message)
        waiting.wait()
        assert here.recv(10) == message


def test_the_end_is_found(ends: tuple[socket.socket, socket.socket]) -> None:
    here, there = ends
    waiting = Vigil(here.fileno())
    there.close()
    waiting.wait()
    assert here.recv(10) == b""


@pytest.mark.parametrize(("processors", "blocking"), [({0}, True), ({0, 1}, False), ({3}, True)])
def test_reading_blocks_with_one_processor(
    ends: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    processors: set[int],
    blocking: bool,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    Vigil(ends[0].fileno())
    assert os.get_blocking(ends[0].fileno()) is blocking


def test_a_busy_mount_is_never_slept_at(
    ends: tuple[socket.socket, socket.socket], poll: Poll
) -> None:
    waiting = Vigil(ends[0].fileno())
    poll.ready = True
    for _ in range(100):
        waiting.wait()
    assert (poll.looks, poll.sleeps) == (100, 0)


def test_a_quiet_mount_is_hardly_looked_at(
    ends: tuple[socket.socket, socket.socket], poll: Poll
) -> None:
    waiting = Vigil(ends[0].fileno())
    for _ in range(1000):
        waiting.wait()
    assert poll.sleeps == 1000
    once = 9  # looks before a tenth of AWAKE each has used it up
    assert poll.looks <= once * (1000 // 64 + 7)


def test_looking_is_taken_up_again(ends: tuple[socket.socket, socket.socket], poll: Poll) -> None:
    waiting = Vigil(ends[0].fileno())
    for _ in range(1000):
        waiting.wait()
    poll.ready = True
    for _ in range(65):
        waiting.wait()
    before = poll.sleeps
    for _ in range(100):
        waiting.wait()
    assert poll.sleeps == before


def test_who_is_not_to_look_sleeps(ends: tuple[socket.socket, socket.socket], poll: Poll) -> None:
    waiting = Vigil(ends[0].fileno())
    poll.ready = True
    for _ in range(10):
        waiting.wait(look=False)
    assert (poll.looks, poll.sleeps) == (0, 10)
    waiting.wait()
    assert (poll.looks, poll.sleeps) == (1, 10)
