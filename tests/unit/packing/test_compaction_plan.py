"""Which archives are compacted, and in which groups."""

from __future__ import annotations

import pytest

from djafs.packing.compaction import ArchiveUse, Limits, plan


def use(archive: int, weight: float, share: float = 1.0) -> ArchiveUse:
    size = round(weight * 1_000_000 / share)
    return ArchiveUse(archive, 10, 10, size, round(size * share))


LIMITS = Limits(fan=4, least=0.6, most_members=10**9, most_bytes=1_000_000)


def test_archives_of_one_size_are_merged_when_there_are_enough():
    few = [use(number, 0.05) for number in range(1, 4)]
    assert plan(few, LIMITS) == []
    assert plan([*few, use(4, 0.01), use(5, 0.3)], LIMITS) == []
    assert plan([use(4, 0.04), *few], LIMITS) == [[1, 2, 3, 4]]


def test_what_is_merged_fits_into_one_archive():
    large = [use(number, 0.3) for number in range(1, 8)]
    assert plan(large, LIMITS) == [[1, 2, 3], [4, 5, 6]]
    assert plan([use(number, 0.5) for number in range(1, 20)], LIMITS) == []
    many = [use(number, 0.0001) for number in range(1, 71)]
    assert [len(group) for group in plan(many, LIMITS)] == [32, 32, 6]


def test_an_archive_that_is_mostly_out_of_reach_is_written_anew():
    assert plan([use(1, 0.3, 0.59)], LIMITS) == [[1]]
    assert plan([use(1, 0.3, 0.61)], LIMITS) == []
    assert plan([use(1, 0.4, 0.5), use(2, 0.9), use(3, 0.9, 0.4)], LIMITS) == [[1], [3]]
    unknown = ArchiveUse(1, members=10, known=5, size=1000, live=1000)
    assert plan([unknown], LIMITS) == [[1]]
    assert plan([ArchiveUse(1, 10, 0, 0, 0)], LIMITS) == [[1]]


def test_by_force_everything_small_or_wasteful_is_done():
    assert plan([use(1, 0.01), use(2, 0.2)], LIMITS, force=True) == [[1, 2]]
    assert plan([use(1, 0.01), use(2, 0.9)], LIMITS, force=True) == []
    assert plan([use(1, 0.01), use(2, 0.6, 0.99)], LIMITS, force=True) == [[1, 2]]
    assert plan([use(2, 0.6, 0.99)], LIMITS, force=True) == [[2]]


@pytest.mark.parametrize("arrivals", [1, 7, 64, 1000])
def test_however_archives_arrive_few_stay_and_each_document_moves_a_few_times(arrivals):
    limits = Limits(fan=8, most_members=10**9, most_bytes=1 << 20)
    archives: dict[int, int] = {}
    moves, size, number = 0, (1 << 20) // arrivals // 4 + 1, 0
    for _ in range(arrivals):
        number += 1
        archives[number] = size
        while groups := plan((ArchiveUse(n, 1, 1, s, s) for n, s in archives.items()), limits):
            for group in groups:
                number += 1
                archives[number] = sum(archives.pop(old) for old in group)
                moves += archives[number]
    assert len(archives) <= 7 * 4
    assert moves <= 4 * size * arrivals
