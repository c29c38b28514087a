"""Files above 16 MiB: their parts keep every day's content, whatever is packed in between."""

from __future__ import annotations

import pytest

from djafs.extents import PART
from rig.small_store import DAY, SmallStore

NAME = b"large.json"

MINUTE = 60 * 10**9


def put(world: SmallStore, ino: int, offset: int, content: bytes) -> None:
    with world.store.guard:
        world.store.write(ino, offset, content)


def cut(world: SmallStore, ino: int, size: int) -> None:
    with world.store.guard:
        world.store.setattr(ino, size=size)


def current(world: SmallStore, ino: int) -> bytes:
    with world.store.guard:
        inode = world.store.inode(ino)
        assert inode is not None
    return world.store.reads.live(ino, 0, inode.size)


def days(world: SmallStore) -> list[bytes]:
    return [content for _, content in sorted(world.past().items())]


@pytest.mark.parametrize("packed_between", [False, True])
def test_each_day_keeps_its_own_parts(world: SmallStore, packed_between: bool):
    expected = []
    ino = world.file(NAME, b"first")
    expected.append(b"first")
    steps = (
        lambda: put(world, ino, PART - 2, b"across"),
        lambda: put(world, ino, PART + 100, b"further"),
        lambda: cut(world, ino, 5),
        lambda: put(world, ino, PART + 1, b"after a hole"),
        lambda: cut(world, ino, PART + 4),
        lambda: cut(world, ino, 2 * PART),
    )
    for step in steps:
        world.now += DAY
        step()
        expected.append(current(world, ino))
        if packed_between:
            world.collect()
    assert days(world) == expected
    world.collect()
    assert days(world) == expected
    assert world.store.hot.size == 0
    world.reopen(without_index=True)
    assert days(world) == expected
    assert current(world, ino) == expected[-1]


def test_a_part_that_was_cut_short_on_the_same_day_is_packed_whole(world: SmallStore):
    ino = world.file(NAME, b"x" * 5)
    world.now += DAY
    put(world, ino, PART - 10, b"y" * 20)
    world.now += 120 * 10**9  # a version of its own, but of the same day
    cut(world, ino, 5)
    world.now += 120 * 10**9
    put(world, ino, PART - 10, b"z" * 20)
    shown = current(world, ino)
    world.now += DAY
    put(world, ino, PART, b"later")
    later = current(world, ino)
    world.collect()
    assert world.store.hot.size == 0
    assert days(world) == [b"x" * 5, shown, later]
    assert current(world, ino) == later


def test_a_part_is_read_from_its_archive_once_it_is_packed(world: SmallStore):
    ino = world.file(NAME, b"a")
    put(world, ino, PART, b"b")
    assert current(world, ino)[PART:] == b"b"  # now the part is in memory
    world.now += DAY
    world.collect()
    assert world.store.hot.size == 0
    assert current(world, ino)[PART:] == b"b"
    put(world, ino, PART + 1, b"c")
    assert current(world, ino)[PART:] == b"bc"


def test_small_changes_of_a_large_archived_part_wait(world: SmallStore):
    """Until they are a sixteenth of it, an hour has passed, or there is no time to wait."""
    ino = world.file(NAME, b"x" * (4 << 20))
    world.collect()

    def pack_patiently() -> int:
        return world.with_collector(lambda collector: collector.collect(0, patience=3600)).files

    end = 4 << 20
    for _ in range(3):
        put(world, ino, end, b"a line\n")
        end += 7
        world.now += MINUTE
        assert pack_patiently() == 0
    put(world, ino, end, bytes(end // 16))
    end += end // 16
    world.now += MINUTE
    assert pack_patiently() == 1
    put(world, ino, 100, b"a change")
    world.now += 59 * MINUTE
    assert pack_patiently() == 0
    world.now += 2 * MINUTE
    assert pack_patiently() == 1
    put(world, ino, 200, b"another")
    world.now += 1
    assert world.collect().files == 1
    assert world.store.hot.size == 0
    assert len(current(world, ino)) == end
