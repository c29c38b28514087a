"""When files of the source are read by several threads: once reading them makes one wait."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.tools.convert import reading
from djafs.tools.convert.reading import LOOK, NETWORK, Gone, Reader, ReadFile

NAMES = [b"%03d" % number for number in range(LOOK)]


class _Clock:
    """A clock that goes on by what each file takes to read."""

    def __init__(self, delays: list[float]) -> None:
        self._delays = iter(delays)
        self.now = 0.0
        self.threads: set[int] = set()

    def read_file(self, name: bytes, directory: int) -> ReadFile | Gone:
        self.threads.add(threading.get_ident())
        self.now += next(self._delays, 0.0)
        return Gone(name.decode())

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """A directory, open."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def _threads_after(
    delays: list[float], directory: int, monkeypatch: pytest.MonkeyPatch
) -> set[int]:
    """Return which threads read once files have taken ``delays`` seconds each."""
    clock = _Clock(delays)
    monkeypatch.setattr(reading, "read_file", clock.read_file)
    monkeypatch.setattr(reading, "time", clock)
    reader = Reader(threads=2)
    try:
        first = list(reader.read(NAMES, directory))
        assert clock.threads == {threading.get_ident()}
        clock.threads.clear()
        assert list(reader.read(NAMES, directory)) == first
    finally:
        reader.close()
    return clock.threads


def test_files_that_all_take_long_are_read_by_several_threads(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = _threads_after([2 * NETWORK] * LOOK, directory, monkeypatch)
    assert threading.get_ident() not in threads


def test_a_busy_machine_is_not_taken_for_a_network(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays = [NETWORK / 10] * LOOK
    delays[::16] = [0.05] * len(delays[::16])  # somebody else had the processor
    assert sum(delays) > NETWORK * LOOK
    assert _threads_after(delays, directory, monkeypatch) == {threading.get_ident()}
