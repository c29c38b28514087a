"""The rules of effective time, one by one, against the reference."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from rig.past import HOUR, Past, past_in
from rig.reference import MINUTE, ROOT


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with past_in(str(tmp_path)) as past:
        yield past
        past.check_always()


def day_of(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def shown(past: Past, day: str) -> dict[bytes, bytes]:
    past.flush()
    return {path: state.content for path, state in past.day(day_of(day)).items()}


def test_a_version_closes_after_a_minute(past: Past):
    """An explicit time counts while the version is open, and not any more when it is closed."""
    early, late = past.create(ROOT, b"early"), past.create(ROOT, b"late")
    past.write(early, b"1")
    past.write(late, b"1")
    past.now += MINUTE
    past.utimens(early, past.now - 100 * HOUR)
    past.now += 1
    past.utimens(late, past.now - 100 * HOUR)
    assert set(shown(past, "2024-03-29")) == {b"early"}
    assert set(shown(past, "2024-03-30")) == {b"early", b"late"}


def test_a_version_closes_at_the_end_of_its_day(past: Past):
    past.now += 12 * HOUR - 1
    ino = past.create(ROOT, b"a")
    past.write(ino, b"on the 30th")
    past.now += 1
    past.write(ino, b"on the 31st")
    past.now += 1
    past.pack()
    assert shown(past, "2024-03-30") == {b"a": b"on the 30th"}
    assert shown(past, "2024-03-31") == {b"a": b"on the 31st"}


def test_a_change_of_content_after_an_explicit_time_is_the_next_version(past: Past):
    ino = past.create(ROOT, b"a")
    for content, age in ((b"1", 72), (b"2", 48), (b"3", 24)):
        past.write(ino, content)
        past.utimens(ino, past.now - age * HOUR)
    found = [shown(past, f"2024-03-{day}").get(b"a") for day in range(26, 31)]
    assert found == [None, b"1", b"2", b"3", b"3"]


def test_attributes_alone_change_when_it_is_recorded(past: Past):
    ino = past.create(ROOT, b"a")
    past.write(ino, b"1")
    past.utimens(ino, past.now - 72 * HOUR)
    past.now += 24 * HOUR
    past.set_mode(ino, 0o600, 7)
    past.utimens(ino, past.now - 48 * HOUR)
    past.flush()
    modes = [past.day(day_of(f"2024-03-{day}"))[b"a"].mode for day in (27, 29, 30, 31)]
    assert modes == [0o644, 0o644, 0o644, 0o600]


def test_a_time_in_the_future_is_not_believed(past: Past):
    ino = past.create(ROOT, b"a")
    past.write(ino, b"1")
    past.utimens(ino, past.now + 1000 * HOUR)
    assert shown(past, "2024-03-30") == {b"a": b"1"}
    assert past.day(day_of("2024-03-30"))[b"a"].mtime == past.now + 1000 * HOUR


def test_a_clock_that_jumped_ahead_drags_nothing_else_along(past: Past):
    past.now += 240 * HOUR
    ahead = past.create(ROOT, b"ahead")
    past.write(ahead, b"1")
    past.now -= 240 * HOUR
    past.write(ahead, b"2")  # never before what it replaces
    past.write(past.create(ROOT, b"after"), b"3")
    assert shown(past, "2024-03-30") == {b"after": b"3"}
    assert shown(past, "2024-04-09") == {b"after": b"3", b"ahead": b"2"}


def test_a_closed_file_keeps_its_names_until_they_are_taken(past: Past):
    kept, renamed = past.create(ROOT, b"kept"), past.create(ROOT, b"before")
    past.write(kept, b"1")
    past.write(renamed, b"2")
    past.now += 48 * HOUR
    past.rename(ROOT, b"before", ROOT, b"after")
    past.unlink(ROOT, b"kept")
    assert shown(past, "2024-03-31") == {b"kept": b"1", b"before": b"2"}
    assert shown(past, "2024-04-01") == {b"after": b"2"}


def test_a_name_given_again_does_not_begin_before_it_was_free(past: Past):
    past.write(past.create(ROOT, b"a"), b"1")
    past.now += 72 * HOUR
    past.unlink(ROOT, b"a")
    past.now += HOUR
    again = past.create(ROOT, b"a")
    past.write(again, b"2")
    past.utimens(again, past.now - 48 * HOUR)
    assert shown(past, "2024-04-01") == {b"a": b"1"}
    assert shown(past, "2024-04-02") == {b"a": b"2"}


def test_a_name_removed_in_its_first_minute_leaves_no_trace(past: Past):
    ino = past.create(ROOT, b"a")
    past.write(ino, b"1")
    past.utimens(ino, past.now - 72 * HOUR)
    past.now += MINUTE
    past.unlink(ROOT, b"a")
    assert shown(past, "2024-03-28") == shown(past, "2024-03-30") == {}


def test_a_name_removed_and_given_again_at_once_was_replaced(past: Past):
    """As tar -x does, whatever happens to the daemon in between."""
    for content, age in ((b"1", 72), (b"2", 48), (b"3", 24)):
        ino = past.create(ROOT, b"a")
        past.write(ino, content)
        past.utimens(ino, past.now - age * HOUR)
        if content != b"3":
            past.unlink(ROOT, b"a")
            past.reopen()
    found = [shown(past, f"2024-03-{day}")[b"a"] for day in range(27, 31)]
    assert found == [b"1", b"2", b"3", b"3"]


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [("Europe/Berlin", "2024-03-31"), ("Europe/Berlin", "2024-10-27"),
     ("Europe/Berlin", "2024-10-28"), ("America/Los_Angeles", "2024-03-11"),
     ("America/Los_Angeles", "2024-11-04"), ("Asia/Kathmandu", "2024-05-05")],
)  # fmt: skip
def test_days_are_those_of_the_store(tmp_path: Path, zone: str, midnight: str):
    """Also the days of 23 and of 25 hours."""
    day = day_of(midnight)
    with past_in(str(tmp_path), zone, midnight) as past:
        begin = past.now
        for moment in (-1, 0, 5 * HOUR):
            past.now = begin + moment
            past.write(past.create(ROOT, b"%d" % moment), b"x")
        past.flush()
        assert set(past.day(day - 1)) == {b"-1"}
        assert set(past.day(day)) == {b"-1", b"0", b"%d" % (5 * HOUR)}
        past.check_always()
