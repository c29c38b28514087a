"""Days of publication brought in within seconds, and each read back from its snapshot."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from rig.mount import Mount
from rig.trees import at, day_of, files, set_mtime, unpack


@pytest.fixture
def days(tmp_path: Path) -> dict[date, Path]:
    """Six days of the same names, each in a directory, with the times of publication."""
    source = unpack("currency-days", tmp_path / "source")
    return {date.fromisoformat(path.name): path for path in sorted(source.iterdir())}


def by_rsync(source: Path, live: Path) -> None:
    subprocess.run(["rsync", "-a", f"{source}/", f"{live}/"], check=True)


def by_cp(source: Path, live: Path) -> None:
    """In place: the same inodes are truncated, written and dated anew."""
    subprocess.run(["cp", "-p", "-r", f"{source}/.", live], check=True)


def by_tar(source: Path, live: Path) -> None:
    """Each file unlinked, and created again."""
    packed = subprocess.run(["tar", "-c", "-C", source, "."], check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-p", "-C", live], input=packed.stdout, check=True)


def by_python(source: Path, live: Path) -> None:
    shutil.copytree(source, live, dirs_exist_ok=True)


def expected_on(days: dict[date, Path]) -> dict[date, dict[bytes, str]]:
    """Return what each day must show: names that were dropped from it are from days before."""
    found: dict[date, dict[bytes, str]] = {}
    so_far: dict[bytes, str] = {}
    for day, directory in days.items():
        so_far = {**so_far, **files(directory)}
        found[day] = so_far
    return found


def assert_days(mount: Mount, expected: dict[date, dict[bytes, str]]) -> None:
    for day, content in expected.items():
        assert files(mount.snapshots / f"{day:%Y/%m/%d}") == content, day
        for path in list(content)[:3]:
            status = os.lstat(os.path.join(os.fsencode(mount.snapshots / f"{day:%Y/%m/%d}"), path))
            assert day_of(status.st_mtime_ns) <= day
    newest = expected[max(expected)]
    assert files(mount.live) == newest
    assert files(mount.snapshots / "latest") == newest
    assert files(mount.snapshots / f"{date.today():%Y/%m/%d}") == newest
    assert not (mount.snapshots / "2026/09/19").exists()


@pytest.mark.parametrize("bring", [by_rsync, by_cp, by_tar, by_python])
def test_each_day_shows_its_values(bring, mounted: Mount, days: dict[date, Path]):
    for directory in days.values():
        bring(directory, mounted.live)
    expected = expected_on(days)
    assert len({content[b"currencies.json"] for content in expected.values()}) > 1
    assert_days(mounted, expected)
    assert sorted(os.listdir(mounted.snapshots / "2026/09")) == [f"{day:%d}" for day in days]
    done = mounted.gc()
    assert done["failed"] == 0
    assert done["files"] > 0
    assert_days(mounted, expected)
    mounted.unmount()
    (mounted.storage / "index.sqlite").unlink()
    mounted.start()
    assert_days(mounted, expected)


def test_days_survive_the_merging_of_archives(mounted: Mount, days: dict[date, Path]):
    for directory in days.values():
        by_rsync(directory, mounted.live)
        mounted.gc()
    expected = expected_on(days)
    before = len(list((mounted.storage / "archives").glob("*.tar.zst")))
    done = mounted.gc()
    assert_days(mounted, expected)
    assert before + done["archives"] >= len(list((mounted.storage / "archives").glob("*.tar.zst")))
    mounted.kill9()
    (mounted.storage / "index.sqlite").unlink()
    mounted.start()
    assert_days(mounted, expected)


def test_days_that_come_in_any_order(mounted: Mount, days: dict[date, Path]):
    """An older version never comes after a newer one: brought in later, it is of today."""
    order = [directory for _, directory in sorted(days.items())]
    by_rsync(order[3], mounted.live)
    (order[1] / "dropped.json").write_text("{}")
    set_mtime(order[1] / "dropped.json", at(2026, 9, 21))
    by_rsync(order[1], mounted.live)
    known = files(order[3])
    # What day 3 did not have is as old as it says; the rest was changed back today.
    added = {path: digest for path, digest in files(order[1]).items() if path not in known}
    assert b"dropped.json" in added
    assert files(mounted.snapshots / "2026/09/21") == added
    assert files(mounted.snapshots / "2026/09/22") == added
    assert files(mounted.snapshots / "2026/09/23") == {**known, **added}
    assert files(mounted.snapshots / "2026/09/25") == {**known, **added}
    now = {**known, **files(order[1])}
    assert files(mounted.snapshots / f"{date.today():%Y/%m/%d}") == now == files(mounted.live)
