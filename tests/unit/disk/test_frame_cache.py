"""The cache of inflated frames, alone and under several threads."""

import threading

import pytest

from djafs.disk.frame_cache import OVERHEAD, FrameCache


def test_the_least_recently_used_frame_goes_first():
    cache = FrameCache(3 * (100 + OVERHEAD))
    for number in range(3):
        cache.load((1, number), lambda: bytes(100))
    assert cache.get((1, 0)) is not None
    cache.load((1, 3), lambda: bytes(100))
    assert cache.get((1, 1)) is None
    assert cache.get((1, 0)) is not None
    assert cache.size == cache.budget


def test_a_frame_larger_than_the_budget_is_returned_and_not_kept():
    cache = FrameCache(0)
    assert cache.load((1, 1), lambda: b"abc") == b"abc"
    assert cache.get((1, 1)) is None
    assert cache.size == 0


def test_forgetting_an_archive_keeps_the_others():
    cache = FrameCache()
    for archive in (1, 2):
        cache.load((archive, 0), lambda: b"abc")
    cache.forget(1)
    assert cache.get((1, 0)) is None
    assert cache.get((2, 0)) == b"abc"
    assert cache.size == 3 + OVERHEAD


def test_a_failure_is_raised_and_not_kept():
    cache = FrameCache()

    def fail() -> bytes:
        raise OSError(5, "cannot read")

    with pytest.raises(OSError, match="cannot read"):
        cache.load((1, 0), fail)
    assert cache.load((1, 0), lambda: b"now") == b"now"


def test_two_threads_that_want_one_frame_inflate_it_once():
    cache = FrameCache()
    begun, go_on = threading.Event(), threading.Event()
    inflated, found = [], []

    def inflate() -> bytes:
        inflated.append(1)
        begun.set()
        assert go_on.wait(10)
        return b"frame"

    first = threading.Thread(target=lambda: found.append(cache.load((1, 0), inflate)))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=lambda: found.append(cache.load((1, 0), inflate)))
    second.start()
    assert cache.get((1, 0)) is None  # get() does not wait
    go_on.set()
    first.join()
    second.join()
    assert found == [b"frame", b"frame"]
    assert inflated == [1]


def test_a_frame_that_is_kept_twice_counts_once():
    cache = FrameCache(10_000)
    for _ in range(3):
        cache.keep((1, 0), b"frame")
    assert cache.get((1, 0)) == b"frame"
    assert cache.size == len(b"frame") + OVERHEAD
    cache.forget(1)
    assert cache.size == 0
