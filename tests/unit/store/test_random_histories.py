"""History against the reference: any operations at any times, every day, however it is stored."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.past import HOUR, NAMES, SECOND, Past, past_in
from rig.reference import MINUTE, ROOT

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where many short-lived stores go."""
ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles")


STEPS = st.sampled_from(
    [0, 1, SECOND, 30 * SECOND, MINUTE, MINUTE + 1, HOUR, 7 * HOUR, 24 * HOUR, 25 * HOUR,
     72 * HOUR, -1, -HOUR, -48 * HOUR, "day's end", "next day"]
)  # fmt: skip
AGES = st.sampled_from(
    [0, 1, SECOND, HOUR, 20 * HOUR, 24 * HOUR, 60 * HOUR, 240 * HOUR, 5000 * HOUR, -1, -SECOND,
     -50 * HOUR]
)  # fmt: skip
WHERE = st.integers(0, 3)
NAME = st.sampled_from(NAMES)
WHICH = st.integers(0, 7)
OPERATIONS = st.one_of(
    st.tuples(st.just("tick"), STEPS),
    st.tuples(st.just("create"), WHERE, NAME, st.sampled_from(["file", "file", "symlink"])),
    st.tuples(st.just("bring"), WHERE, NAME, AGES),
    st.tuples(st.just("mkdir"), WHERE, NAME),
    st.tuples(st.just("write"), WHICH),
    st.tuples(st.just("utimens"), WHICH, AGES),
    st.tuples(st.just("chmod"), WHICH, st.sampled_from([0o600, 0o755])),
    st.tuples(st.just("xattr"), WHICH),
    st.tuples(st.just("link"), WHICH, WHERE, NAME),
    st.tuples(st.just("unlink"), WHERE, NAME),
    st.tuples(st.just("rename"), WHERE, NAME, WHERE, NAME),
    st.tuples(st.just("exchange"), WHERE, NAME, WHERE, NAME),
    st.tuples(st.just("flush")),
    st.tuples(st.just("pack")),
    st.tuples(st.just("compact")),
)


class Actor:
    """Carries operations out where they make sense, as the kernel would let them through."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.count = 0

    def act(self, operation: tuple) -> None:
        name, *arguments = operation
        getattr(self, "do_" + name)(*arguments)

    def _directory(self, number: int) -> int:
        live = self._reachable()
        directories = [ino for ino in live if ino in self.past.reference.names]
        return directories[number % len(directories)]

    def _reachable(self) -> list[int]:
        found, live = [ROOT], self.past.reference.live
        for ino in found:
            found += [i for i in live.get(ino, {}).values() if i not in found]
        return found

    def _inode(self, number: int) -> int:
        live = self._reachable()
        return live[number % len(live)]

    def _content(self) -> bytes:
        self.count += 1
        return b'{"state": %d}' % self.count * (1 + self.count % 3)

    def do_tick(self, step: int | str) -> None:
        past = self.past
        if isinstance(step, int):
            past.now += step
        else:
            now = datetime.fromtimestamp(past.now // SECOND, past.reference.zone)
            midnight = datetime.combine(now.date() + timedelta(1), datetime.min.time())
            end = int(midnight.replace(tzinfo=past.reference.zone).timestamp()) * SECOND
            past.now = end - 1 if step == "day's end" else end

    def do_create(self, where: int, name: bytes, kind: str) -> None:
        parent = self._directory(where)
        if name not in self.past.reference.live[parent]:
            self.past.create(parent, name, kind, self._content() if kind == "symlink" else b"")

    def do_bring(self, where: int, name: bytes, age: int) -> None:
        """Bring a file in as rsync does."""
        past, parent = self.past, self._directory(where)
        taken = past.reference.live[parent].get(name)
        if taken in past.reference.names or b".t" in past.reference.live[parent]:
            return
        ino = past.create(parent, b".t")
        past.write(ino, self._content())
        past.utimens(ino, max(past.now - age, 1))
        past.rename(parent, b".t", parent, name)

    def do_mkdir(self, where: int, name: bytes) -> None:
        parent = self._directory(where)
        if name not in self.past.reference.live[parent]:
            self.past.create(parent, name, "directory")

    def do_write(self, which: int) -> None:
        ino = self._inode(which)
        if self.past.reference.kind(ino) == "file":
            self.past.write(ino, self._content())

    def do_utimens(self, which: int, age: int) -> None:
        self.past.utimens(self._inode(which), max(self.past.now - age, 1))

    def do_chmod(self, which: int, mode: int) -> None:
        self.count += 1
        self.past.set_mode(self._inode(which), mode, self.count)

    def do_xattr(self, which: int) -> None:
        self.past.set_xattr(self._inode(which), self._content())

    def do_link(self, which: int, where: int, name: bytes) -> None:
        ino, parent = self._inode(which), self._directory(where)
        if ino not in self.past.reference.names and (name not in self.past.reference.live[parent]):
            self.past.link(ino, parent, name)

    def do_unlink(self, where: int, name: bytes) -> None:
        parent = self._directory(where)
        ino = self.past.reference.live[parent].get(name)
        if ino is not None and not self.past.reference.live.get(ino):
            self.past.unlink(parent, name)

    def _below(self, ino: int) -> set[int]:
        found, waiting = {ino}, [ino]
        while waiting:
            for child in self.past.reference.live.get(waiting.pop(), {}).values():
                found.add(child)
                waiting.append(child)
        return found

    def do_rename(self, where: int, name: bytes, to: int, target: bytes) -> None:
        live, parent, heir = self.past.reference.live, self._directory(where), self._directory(to)
        ino, other = live[parent].get(name), live[heir].get(target)
        if ino is None or ino == other or heir in self._below(ino):
            return
        if other is not None and ((ino in live) != (other in live) or live.get(other)):
            return
        self.past.rename(parent, name, heir, target)

    def do_exchange(self, where: int, name: bytes, to: int, target: bytes) -> None:
        live, parent, heir = self.past.reference.live, self._directory(where), self._directory(to)
        ino, other = live[parent].get(name), live[heir].get(target)
        if ino is None or other is None or ino == other:
            return
        if heir in self._below(ino) or parent in self._below(other):
            return
        self.past.exchange(parent, name, heir, target)

    def do_flush(self) -> None:
        self.past.flush()

    def do_pack(self) -> None:
        self.past.pack()

    def do_compact(self) -> None:
        self.past.compact()


@settings(max_examples=80)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["2024-03-30 12:00", "2024-10-26 23:59", "2024-03-10 00:30"]),
    st.lists(OPERATIONS, min_size=5, max_size=30),
)
def test_every_day_is_what_the_reference_says(zone: str, start: str, operations: list[tuple]):
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        act(directory, zone, start, operations)


def act(directory: str, zone: str, start: str, operations: list[tuple]) -> None:
    with past_in(directory, zone, start) as past:
        actor = Actor(past)
        for operation in operations:
            actor.act(operation)
        past.check_always()


HARD = {
    "rewritten before the index knew of it": [
        ("mkdir", 0, b"a"), ("bring", 1, b"b", 60 * HOUR), ("tick", HOUR), ("write", 2),
    ],
    "a directory exchanged twice on the day on which it was made": [
        ("mkdir", 0, b"b"), ("mkdir", 3, b"b"), ("mkdir", 1, b"c"), ("tick", HOUR),
        ("utimens", 7, 5000 * HOUR), ("exchange", 1, b"b", 1, b"c"),
        ("exchange", 1, b"b", 1, b"c"),
    ],
    "a name made in a directory from the future": [
        ("mkdir", 0, b"b"), ("tick", -48 * HOUR), ("create", 1, b"a", "file"),
    ],
    "removed when the clock was set back": [
        ("mkdir", 1, b"c"), ("bring", 0, b"b", -50 * HOUR), ("link", 5, 1, b"a"),
        ("tick", "next day"), ("bring", 1, b"a", HOUR), ("tick", -48 * HOUR), ("unlink", 3, b"a"),
    ],
    "unlinked and brought again, all of a day": [
        ("bring", 3, b"b", 0), ("bring", 0, b"b", 240 * HOUR), ("unlink", 1, b"b"),
        ("bring", 2, b"b", 240 * HOUR), ("tick", "next day"),
    ],
    "a file where a directory was made and removed that day": [
        ("mkdir", 0, b"c"), ("tick", MINUTE + 1), ("unlink", 2, b"c"),
        ("bring", 0, b"c", 5000 * HOUR), ("bring", 2, b"b", 240 * HOUR),
        ("exchange", 0, b"c", 0, b"b"),
    ],
    "taken from a directory that is not yet known to be old": [
        ("bring", 2, b"a", SECOND), ("mkdir", 1, b"c"), ("exchange", 0, b"c", 0, b"a"),
        ("tick", "day's end"), ("tick", -48 * HOUR), ("tick", 25 * HOUR),
        ("bring", 3, b"c", 5000 * HOUR), ("rename", 0, b"c", 1, b"c"),
    ],
    "replaced in a directory that is younger": [
        ("create", 1, b"a", "file"), ("create", 3, b"c", "file"), ("tick", "next day"),
        ("mkdir", 1, b"b"), ("mkdir", 3, b"a"), ("bring", 1, b"a", 0), ("utimens", 5, 1),
        ("link", 5, 2, b"a"), ("rename", 3, b"c", 2, b"a"),
    ],
    "a directory where something else ended that day": [
        ("bring", 2, b"b", -1), ("bring", 2, b"a", HOUR), ("bring", 0, b"c", 60 * HOUR),
        ("write", 7), ("rename", 1, b"c", 2, b"\xff tmp"), ("mkdir", 3, b"c"),
        ("exchange", 0, b"b", 0, b"c"), ("tick", -48 * HOUR), ("mkdir", 1, b"a"),
    ],
    "exchanged, removed and brought again": [
        ("bring", 0, b"b", 60 * HOUR), ("bring", 2, b"a", 0), ("exchange", 0, b"a", 2, b"b"),
        ("unlink", 3, b"a"), ("bring", 2, b"a", 1),
    ],
    "removed twice without a trace": [
        ("bring", 0, b"a", 60 * HOUR), ("bring", 2, b"a", -50 * HOUR), ("bring", 3, b"c", 0),
        ("unlink", 2, b"a"), ("bring", 3, b"a", 5000 * HOUR), ("unlink", 2, b"a"),
        ("rename", 2, b"c", 3, b"a"),
    ],
}  # fmt: skip
"""Histories that random ones have found to be hard."""


@pytest.mark.parametrize("operations", HARD.values(), ids=HARD)
def test_hard_histories(tmp_path: Path, operations: list[tuple]):
    act(str(tmp_path), "Europe/Berlin", "2024-03-10 12:00", operations)
