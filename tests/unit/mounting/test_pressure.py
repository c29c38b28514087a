"""How long writers wait while more is hot than packing copes with."""

import pytest

from djafs.mounting.pressure import BEGINS, FASTEST, LONGEST, Pressure

MIB = 1 << 20
LIMIT = 64 * MIB


class Clock:
    """A clock that stands until it is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pressure(clock):
    return Pressure(LIMIT, clock)


def test_nobody_waits_up_to_twice_the_size(pressure):
    assert pressure.delay(2 * LIMIT, MIB) == 0
    assert pressure.delay(0, MIB) == 0


def test_the_rate_is_halved_with_each_further_eighth(pressure, clock):
    for eighths in range(1, 6):
        clock.now += 10
        waited = pressure.delay(2 * LIMIT + eighths * LIMIT // 8, 12_288)
        assert waited == pytest.approx(12_288 / (FASTEST / 2**eighths))


def test_writers_that_come_together_share_the_rate(pressure):
    hot = 2 * LIMIT + LIMIT // 2
    alone = pressure.delay(hot, 12_288)
    assert [pressure.delay(hot, 12_288) for _ in range(3)] == pytest.approx(
        [2 * alone, 3 * alone, 4 * alone]
    )


def test_no_answer_waits_for_longer_than_the_most(pressure):
    for _ in range(100):
        assert pressure.delay(100 * LIMIT, MIB) <= LONGEST


def test_waiting_ends_with_the_excess(pressure, clock):
    pressure.delay(100 * LIMIT, MIB)
    assert pressure.delay(2 * LIMIT, MIB) == 0
    clock.now += LONGEST
    assert pressure.delay(2 * LIMIT + 1, 1024) < 0.001


def test_what_cannot_be_packed_holds_nobody_up(pressure):
    pressure.leave(10 * LIMIT)
    assert pressure.delay(12 * LIMIT, MIB) == 0
    assert pressure.delay(13 * LIMIT, MIB) > 0
    assert pressure.due == 11 * LIMIT


def test_the_cache_stays_bounded_whatever_the_rate_of_packing(clock):
    """A hundred writers at full speed against packing of 4 MiB a second."""
    pressure, hot, largest = Pressure(LIMIT, clock), 0.0, 0.0
    for _ in range(2_000):
        waits = max(pressure.delay(int(hot), 12_288) for _ in range(100))
        hot += 100 * 12_288
        passed = max(waits, 0.001)
        clock.now += passed
        hot = max(hot - passed * 4 * MIB, 0)
        largest = max(largest, hot)
    assert largest < (BEGINS + 1.1) * LIMIT
