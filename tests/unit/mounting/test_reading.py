"""Who is answered from the answering thread, and who from the pool."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from djafs.fuse import Deferred, Request
from djafs.mounting.reading import Reading
from djafs.store.store import Store
from rig.small_store import SmallStore

SIZE = 300_000
"""Bytes of each file, which lies in frames of its own then."""


def content(number: int) -> bytes:
    return b"%06d" % number * (SIZE // 6)


@pytest.fixture
def read(world: SmallStore) -> Callable[[int, int], bytes | Deferred]:
    """Reads some bytes of a file (by its number) that is in an archive, for a thread."""
    inos = [world.file(b"%d" % number, content(number)) for number in range(20)]
    world.collect()
    world.reopen()
    store: Store = world.store
    reading = Reading(store.reads)

    def read(number: int, pid: int) -> bytes | Deferred:
        request = Request()
        request.pid = pid
        with store.guard:
            inode = store.inode(inos[number])
            assert inode is not None
            found = reading.live(request, inode, 280_000, 12)
        data = found.function() if isinstance(found, Deferred) else found
        assert data == content(number)[280_000:280_012]
        return found

    return read


def deferred(found: list[bytes | Deferred]) -> list[bool]:
    return [isinstance(one, Deferred) for one in found]


def test_who_reads_alone_is_answered_at_once(read: Callable[[int, int], bytes | Deferred]) -> None:
    found = [read(number, 7) for number in range(10)]
    assert deferred(found) == [True] + [False] * 9


def test_several_are_answered_by_the_pool(read: Callable[[int, int], bytes | Deferred]) -> None:
    found = [read(number, 7 + number % 2) for number in range(20)]
    assert deferred(found) == [True] * 20


def test_who_is_not_known_is_answered_by_the_pool(
    read: Callable[[int, int], bytes | Deferred],
) -> None:
    assert deferred([read(number, 0) for number in range(5)]) == [True] * 5


def test_what_is_in_memory_is_answered_at_once(
    read: Callable[[int, int], bytes | Deferred],
) -> None:
    assert deferred([read(3, pid) for pid in (7, 8, 9, 0)]) == [True, False, False, False]
