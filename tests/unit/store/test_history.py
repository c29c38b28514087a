"""History against the reference: any operations at any times, every day, however it is stored."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from djafs.disk.host import Host
from djafs.model import Inode
from djafs.store.collector import Collector
from djafs.store.snapshots import Place
from djafs.store.store import Store
from rig.near_packer import NearPacker
from rig.reference import MINUTE, ROOT, Reference, Shown

SECOND = 10**9
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where many short-lived stores go."""
HOUR = 60 * MINUTE
NAMES = (b"a", b"b", b"c", b"\xff tmp")
ZONES = ("UTC", "Europe/Berlin", "America/Los_Angeles")
TYPES = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "symlink"}


class HastyHost(Host):
    """Syncs nothing: no power is cut here."""

    def sync(self, descriptor: int, label: str) -> None:
        pass

    def sync_directory(self, path: str, label: str) -> None:
        pass


class Past:
    """A store and the reference beside it, under one clock."""

    def __init__(self, root: str, zone: str, start: datetime) -> None:
        self.root = root
        self.now = int(start.replace(tzinfo=_zone(zone)).timestamp()) * SECOND
        self.zone = zone
        self.store = self._open()
        self.reference = Reference(_zone(zone), self.now)
        self.first = self.reference.day(self.now)

    def _open(self) -> Store:
        store = Store.open(
            self.root, create=True, time_zone=self.zone, clock=lambda: self.now, host=HastyHost()
        )
        self._closed = False
        return store

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.store.close()

    # Operations, on both

    def create(self, parent: int, name: bytes, kind: str = "file", content: bytes = b"") -> int:
        with self.store.guard:
            mode = {"file": 0o100644, "directory": 0o040755, "symlink": 0o120777}[kind]
            target = content if kind == "symlink" else None
            ino = self.store.create(parent, name, mode, 0, 0, target=target).ino
        self.reference.create(ino, parent, name, kind, mode & 0o7777, self.now, content)
        return ino

    def write(self, ino: int, content: bytes) -> None:
        """Replace the content of a file."""
        with self.store.guard:
            if content:
                self.store.write(ino, 0, content)
            self.store.setattr(ino, size=len(content), mtime=self.now, now=self.now)
        self.reference.write(ino, content, self.now)

    def utimens(self, ino: int, mtime: int) -> None:
        with self.store.guard:
            self.store.setattr(ino, mtime=mtime)
        self.reference.utimens(ino, mtime, self.now)

    def set_mode(self, ino: int, mode: int, uid: int) -> None:
        with self.store.guard:
            inode = self.store.inode(ino)
            assert inode is not None
            self.store.setattr(ino, mode=inode.mode & ~0o7777 | mode, uid=uid)
        self.reference.set_mode(ino, mode, uid, self.now)

    def set_xattr(self, ino: int, value: bytes) -> None:
        with self.store.guard:
            self.store.set_xattr(ino, b"user.x", value)
        self.reference.set_xattr(ino, value, self.now)

    def link(self, ino: int, parent: int, name: bytes) -> None:
        with self.store.guard:
            self.store.link(ino, parent, name)
        self.reference.link(ino, parent, name, self.now)

    def unlink(self, parent: int, name: bytes) -> None:
        with self.store.guard:
            if self.reference.kind(self.reference.live[parent][name]) == "directory":
                self.store.rmdir(parent, name)
            else:
                self.store.unlink(parent, name)
        self.reference.unlink(parent, name, self.now)

    def rename(self, parent: int, name: bytes, heir: int, target: bytes) -> None:
        with self.store.guard:
            self.store.rename(parent, name, heir, target)
        self.reference.rename(parent, name, heir, target, self.now)

    def exchange(self, parent: int, name: bytes, heir: int, target: bytes) -> None:
        with self.store.guard:
            self.store.rename(parent, name, heir, target, exchange=True)
        self.reference.exchange(parent, name, heir, target, self.now)

    # Storing it otherwise

    def flush(self) -> None:
        self.store.syncer.flush()

    def pack(self) -> None:
        collector = Collector(
            self.store, NearPacker(self.store.layout, host=self.store.host), level=1
        )
        try:
            assert collector.collect(0).failed == 0
        finally:
            collector.close()

    def compact(self) -> None:
        """Give up all that no day shows. What was at rest by then stays as it is."""
        collector = Collector(
            self.store, NearPacker(self.store.layout, host=self.store.host), level=1
        )
        try:
            collector.compact()
        finally:
            collector.close()
        self.reference.closed = self.store.tree.closed

    def reopen(self, *, without_index: bool = False) -> None:
        self.store.close()
        if without_index:
            os.unlink(os.path.join(self.root, "index.sqlite"))
        self.store = self._open()

    # Looking

    def day(self, day: int, *, limit: int = 3) -> dict[bytes, Shown]:
        """Return everything that the snapshot of ``day`` shows."""
        found: dict[bytes, Shown] = {}
        waiting = [(ROOT, b"")]
        while waiting:
            directory, prefix = waiting.pop()
            for name, inode in self._list(directory, day, limit):
                assert prefix + name not in found, "listed twice"
                found[prefix + name] = self._shown(inode, day)
                if inode.is_directory:
                    waiting.append((inode.ino, prefix + name + b"/"))
        return found

    def _list(self, directory: int, day: int, limit: int) -> Iterator[tuple[bytes, Inode]]:
        snapshots = self.store.snapshots
        place: Place | None = None
        listed = set()
        while True:
            page = snapshots.entries(directory, place, limit, day)
            for entry in page:
                looked = snapshots.lookup(directory, entry.name, day)
                assert looked is not None
                assert (looked.ino, looked.version) == (entry.inode.ino, entry.inode.version)
                listed.add(entry.name)
                yield entry.name, entry.inode
            if len(page) < limit:
                break
            place = page[-1].place
        for name in {*NAMES, *self.reference.names[directory]} - listed:
            assert snapshots.lookup(directory, name, day) is None

    def _shown(self, inode: Inode, day: int) -> Shown:
        kind = TYPES[stat.S_IFMT(inode.mode)]
        content = b""
        if kind == "file" and inode.size:
            content = self.store.read_past(inode, day, 0, inode.size)
        elif kind == "symlink":
            content = inode.target or b""
        return Shown(kind, inode.mode & 0o7777, inode.uid, inode.mtime, content, inode.xattrs or {})

    def check(self) -> None:
        """Compare every day, and the days between and around."""
        self.flush()
        days = {self.first, self.reference.day(self.now)}
        for versions in self.reference.versions.values():
            for version in versions:
                days.update((self.reference.day(version.effective()),
                             self.reference.day(version.last),
                             self.reference.day(version.shown.mtime)))  # fmt: skip
        for day in sorted({d + n for d in days for n in (-1, 0, 1)}):
            expected, shown = self.reference.shown(day), self.day(day)
            for path in set(shown) - set(expected):
                # A directory that a passing state made older does no harm while it is empty.
                below = [other for other in shown if other.startswith(path + b"/")]
                assert shown[path].kind == "directory", (date.fromordinal(day), path)
                if not set(below) & set(expected):
                    del shown[path]
            assert shown == expected, date.fromordinal(day)

    def check_always(self) -> None:
        """Compare every day, in every way in which history can be stored."""
        self.check()
        self.reopen(without_index=True)
        self.check()
        self.pack()
        self.check()
        self.compact()
        self.check()
        self.reopen(without_index=True)
        self.check()
        self.close()
        _validate(self.root)
        self.store = self._open()


def _zone(name: str) -> timezone | ZoneInfo:
    return timezone.utc if name == "UTC" else ZoneInfo(name)


def _validate(root: str) -> None:
    from djafs.tools.validate import validate

    lines: list[str] = []
    assert validate(root, verbose=False, report=lines.append) == 0, "\n".join(lines)


@contextmanager
def past_in(directory: str, zone: str = "UTC", start: str = "2024-03-30 12:00") -> Iterator[Past]:
    past = Past(os.path.join(directory, "store"), zone, datetime.fromisoformat(start))
    try:
        yield past
    finally:
        past.close()


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    with past_in(str(tmp_path)) as past:
        yield past
        past.check_always()


# Random histories

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


# The rules, one by one


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
