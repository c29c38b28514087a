"""The migration of an archive as its administrator does it: rsync, check, rsync, check, switch."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from rig.command import djafs_ok
from rig.mount import Mount
from rig.trees import at, day_of, files, set_mtime, sha256, tree, unpack, walk


def rsync(*arguments: str | Path) -> list[str]:
    """Run rsync, which must succeed, and return the lines it prints."""
    done = subprocess.run(
        ["rsync", *arguments], check=True, capture_output=True, encoding="utf-8", errors="replace"
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def changes(lines: list[str]) -> list[str]:
    """Return what ``rsync -i`` says it changed: a line for each item, and nothing else."""
    return [line for line in lines if line[:2] in {"<f", ">f", "cd", "cL", "hf", ".d", ".f", ".L"}
            or line.startswith("*deleting")]  # fmt: skip


def to(source: Path) -> str:
    return f"{source}/"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Real documents, and beside them everything else that an archive of years collects."""
    root = unpack("pokeapi", tmp_path / "source")
    for path in sorted(root.glob("*/*/index.json"))[::2]:
        shutil.rmtree(path.parent)
    (root / "empty" / "er").mkdir(parents=True)
    (root / "latest.json").symlink_to("pokemon/1/index.json")
    (root / "nowhere").symlink_to("../gone/for ever")
    odd = os.path.join(os.fsencode(root), b"caf\xe9 \xff\n.json")
    with open(odd, "wb") as file:
        file.write(b'{"name": "not UTF-8"}')
    set_mtime(odd, at(2020, 2, 29))
    (root / "private.json").write_text('{"for": "its owner"}')
    (root / "private.json").chmod(0o600)
    (root / "spool").mkdir(0o1777)
    (root / "spool").chmod(0o1777)
    if os.getuid() == 0:
        os.chown(root / "private.json", 1234, 4321)
        os.chown(root / "nowhere", 1234, 4321, follow_symlinks=False)
    set_mtime(root / "private.json", at(2021, 7, 4))
    set_mtime(root / "nowhere", at(2021, 7, 5))
    set_mtime(root / "latest.json", at(2021, 7, 6))
    for path, status in list(walk(root)):
        if stat.S_ISDIR(status.st_mode):
            set_mtime(os.path.join(os.fsencode(root), path), at(2019, 1, 1) + status.st_ino)
    set_mtime(root, at(2019, 1, 1))
    return root


def snapshot(mount: Mount, day: date) -> Path:
    return mount.snapshots / f"{day:%Y/%m/%d}"


def files_until(root: Path, day: date) -> dict[bytes, str]:
    """Return the files below ``root`` that were last modified on ``day`` or before."""
    base = os.fsencode(root)
    return {
        path: sha256(os.path.join(base, path))
        for path, status in walk(root)
        if stat.S_ISREG(status.st_mode) and day_of(status.st_mtime_ns) <= day
    }


def days_listed(mount: Mount) -> set[date]:
    """Return the days that the hierarchy of ``snapshots`` lists."""
    found = set()
    for year in sorted(set(os.listdir(mount.snapshots)) - {"latest"}):
        for month in os.listdir(mount.snapshots / year):
            for day in os.listdir(mount.snapshots / year / month):
                found.add(date(int(year), int(month), int(day)))
    return found


def count(path: Path) -> int:
    return int(djafs_ok("count", path))


def change(source: Path) -> None:
    """Add, change, delete and rename things in ``source``, as the services around it do.

    What is modified today is some seconds old: rsync takes times of one second as the same.
    """
    just_now = time.time_ns() - 5 * 10**9
    every = sorted(path for path in source.rglob("index.json"))
    for number, path in enumerate(every[:60]):
        path.write_bytes(path.read_bytes() + b" " * number)
        old = at(2025, 3, 1) + number * 3600 * 10**9
        set_mtime(path, old if number % 2 else just_now)
    for path in every[60:90]:
        path.unlink()
    for path in every[90:100]:
        path.rename(path.with_name("renamed.json"))
    every[100].chmod(0o640)
    every[101].unlink()
    every[101].symlink_to("elsewhere.json")
    set_mtime(every[101], just_now)
    for number in range(20):
        added = source / "added" / str(number % 3) / f"{number}.json"
        added.parent.mkdir(parents=True, exist_ok=True)
        added.write_text(f'{{"number": {number}}}')
        set_mtime(added, at(2025, 4, 1 + number))
    (source / "empty" / "er").rmdir()
    (source / "nowhere").unlink()
    (source / "nowhere").symlink_to("somewhere")
    set_mtime(source / "nowhere", just_now)
    for path, status in list(walk(source)):
        if stat.S_ISDIR(status.st_mode) and status.st_mtime_ns > just_now:
            set_mtime(os.path.join(os.fsencode(source), path), just_now)
    set_mtime(source, just_now)


def assert_same(source: Path, live: Path) -> None:
    assert tree(live) == tree(source)
    assert os.stat(live).st_mtime_ns == os.stat(source).st_mtime_ns
    assert count(live) == count(source) == sum(
        stat.S_ISREG(status.st_mode) for _, status in walk(source)
    )  # fmt: skip


def assert_nothing_left(source: Path, live: Path) -> None:
    """A further rsync transfers nothing and changes nothing, by size and time and by content."""
    assert changes(rsync("-aPi", "--delete", to(source), to(live))) == []
    assert changes(rsync("-aPic", "--delete", "--dry-run", to(source), to(live))) == []


@pytest.mark.timeout(300)
def test_an_administrator_migrates(mount_store, source: Path, store: Path):
    mount = mount_store("--gc-interval=86400", "--settle=0")
    live, began = mount.live, date.today()

    rsync("-aP", to(source), to(live))
    assert_same(source, live)
    assert_nothing_left(source, live)
    days = {day_of(status.st_mtime_ns) for _, status in walk(source)}
    assert days <= days_listed(mount)
    assert max(days_listed(mount)) <= date.today()
    sample = sorted(days)
    checked = {day: files_until(source, day) for day in sample[:: len(sample) // 3]}
    for day, expected in checked.items():
        assert files(snapshot(mount, day)) == expected, day
    # A day on which nothing changed shows what the day before it showed.
    quiet = next(day + timedelta(1) for day in sample if day + timedelta(1) not in days)
    assert files(snapshot(mount, quiet)) == files_until(source, quiet)
    assert not snapshot(mount, min(sample) - timedelta(1)).exists()

    change(source)
    # What was brought in less than a minute ago and is deleted leaves no trace, what is replaced
    # does; what was renamed in the source is a new file of old for the rsync that comes now.
    now = {path for path, _ in walk(source)}
    for day, expected in checked.items():
        for path in set(expected) - now:
            del expected[path]
        renamed = files_until(source, day).items()
        expected.update((path, digest) for path, digest in renamed if b"renamed" in path)
    before = tree(live)
    dry = changes(rsync("-aPi", "--delete", "--dry-run", to(source), to(live)))
    assert tree(live) == before
    real = changes(rsync("-aPi", "--delete", to(source), to(live)))
    assert sorted(real) == sorted(dry)
    assert sum(line.startswith("*deleting") for line in real) >= 30
    assert_same(source, live)
    assert_nothing_left(source, live)

    def assert_history() -> None:
        """Everything is as it must be, in ``live`` and on every day."""
        assert_same(source, live)
        assert tree(mount.snapshots / "latest") == tree(source)
        assert files(snapshot(mount, date.today())) == files(source)
        # The changes of today and of 2025 are not in what was before.
        for day, expected in checked.items():
            assert files(snapshot(mount, day)) == expected, day
        added = {path for path in files(snapshot(mount, date(2025, 4, 3))) if b"added" in path}
        assert added == {b"added/%d/%d.json" % (n % 3, n) for n in range(3)}

    assert_history()
    packed = mount.gc()
    assert packed["files"] > 0
    assert_history()
    assert_nothing_left(source, live)

    mount.unmount()
    assert "0 errors" in djafs_ok("validate", "-p", store)
    mount.start()
    assert_history()
    assert_nothing_left(source, live)

    mount.unmount()
    (store / "index.sqlite").unlink()
    mount.start()
    assert_history()
    assert date.today() == began, "the tests ran over midnight"


SUBSCRIBER = """
import os, sys
inbox = sys.argv[1]
print("ready", flush=True)
number = 0
while not os.path.exists(sys.argv[2]) or number < 200:
    body = b'{"message": %d, "body": "%s"}' % (number, b"x" * (number % 3000))
    directory = os.path.join(inbox, "%02d" % (number % 16))
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "%d.json" % number)
    if number % 2:
        with open(path + ".tmp", "wb") as file:
            file.write(body)
        os.rename(path + ".tmp", path)
    else:
        with open(path, "wb") as file:
            file.write(body[:10])
            file.flush()
            file.write(body[10:])
    with open(os.path.join(inbox, "journal"), "ab") as journal:
        journal.write(b"%d\\n" % number)
    number += 1
print(number, flush=True)
"""


@pytest.mark.timeout(300)
def test_a_subscriber_writes_while_rsync_brings_the_old_documents(
    mount_store, source: Path, tmp_path: Path
):
    mount = mount_store("--gc-interval=0.2", "--settle=0.1")
    inbox = mount.live / "inbox"
    inbox.mkdir()
    enough = tmp_path / "enough"
    with subprocess.Popen(
        [sys.executable, "-c", SUBSCRIBER, inbox, enough], stdout=subprocess.PIPE, text=True
    ) as subscriber:
        assert subscriber.stdout is not None
        assert subscriber.stdout.readline() == "ready\n"
        for _ in range(3):
            rsync("-aP", "--delete", "--exclude=/inbox", to(source), to(mount.live))
        enough.touch()
        written = int(subscriber.stdout.readline())
    assert subscriber.returncode == 0

    def assert_all() -> None:
        assert changes(
            rsync("-aPic", "--delete", "--exclude=/inbox", to(source), to(mount.live))
        ) == []  # fmt: skip
        assert (inbox / "journal").read_text() == "".join(f"{n}\n" for n in range(written))
        names = {f"{n % 16:02d}/{n}.json" for n in range(written)}
        assert {str(path.relative_to(inbox)) for path in inbox.rglob("*.json")} == names
        for number in range(written):
            body = b'{"message": %d, "body": "%s"}' % (number, b"x" * (number % 3000))
            assert (inbox / f"{number % 16:02d}" / f"{number}.json").read_bytes() == body
        assert count(mount.live) == count(source) + written + 1

    assert_all()
    mount.gc()
    assert_all()
    mount.remount()
    assert_all()
    assert files(mount.snapshots / "latest") == files(mount.live)
