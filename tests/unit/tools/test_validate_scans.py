"""djafs validate: archives that another process reads are checked as if this one had read them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from djafs.disk.archive_scan import ArchiveScan
from djafs.tools.validation import archives, scans
from djafs.tools.validation.findings import Finding, Kind
from djafs.tools.validation.scans import Scanned, Scans
from rig.dated_store import DAY, World, flip


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another process read even the smallest archive, on any machine."""
    monkeypatch.setattr(scans, "WORTH", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})


@pytest.fixture
def two(world: World) -> World:
    """A store with two archives."""
    world.open()
    world.now += DAY
    world.write(world.c, b"x" * 5000)
    world.collect()
    world.close()
    return world


def _flip_frame(world: World) -> None:
    flip(world.layout.archive(1), 40)


def _cut_off(world: World) -> None:
    os.truncate(world.layout.archive(1), 100)


def _remove(world: World) -> None:
    os.unlink(world.layout.archive(1))


def _exchange(world: World) -> None:
    for of in (world.layout.archive, world.layout.archive_metadata):
        shutil.copy(of(2), of(1))


def _forge(world: World) -> None:
    """Put an archive there that is whole, with as many members of the same sizes."""
    other = World(world.path.with_name("other"))
    other.write(other.c, b"C" * 5000)
    other.collect()
    other.close()
    for of, there in (
        (world.layout.archive, other.layout.archive),
        (world.layout.archive_metadata, other.layout.archive_metadata),
    ):
        shutil.copy(there(2), of(2))


def _change_metadata(world: World) -> None:
    path = Path(world.layout.archive_metadata(2))
    path.write_text(path.read_text().replace('"frames": 1', '"frames": 2'))


def _keep_all(world: World) -> None:
    pass


def _comparable(findings: list[Finding]) -> list[tuple[object, ...]]:
    return [(f.kind, f.where, f.what, f.affected, f.details) for f in findings]


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (_keep_all, set()),
        (_flip_frame, {Kind.ARCHIVE_DAMAGED}),
        (_cut_off, {Kind.ARCHIVE_DAMAGED}),
        (_remove, {Kind.ARCHIVE_MISSING}),
        (_exchange, {Kind.ARCHIVE_DAMAGED, Kind.METADATA}),
        (_forge, {Kind.ARCHIVE_DAMAGED}),
        (_change_metadata, {Kind.METADATA}),
    ],
)
def test_the_same_is_found(
    two: World,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[World], None],
    kinds: set[Kind],
):
    damage(two)
    found = _comparable(two.findings())
    monkeypatch.setattr(scans, "WORTH", 1 << 60)
    assert found == _comparable(two.findings())
    assert {kind for kind, *_ in found} <= kinds
    assert bool(found) == bool(kinds)


def test_whole_archives_are_read_once(two: World, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise AssertionError("it was read here as well")

    monkeypatch.setattr(archives, "ArchiveScan", fail)
    assert two.findings() == []


def test_what_is_found_is_what_a_scan_finds(two: World, tmp_path: Path):
    found = Scans(two.layout, os.fspath(tmp_path / "scans"))
    for number in (1, 2):
        scanned = found.of(number)
        assert scanned is not None
        scan = ArchiveScan(two.layout.archive(number))
        assert [m[1:] for m in scanned] == [m[1:] for m in scan]
        for fact in ("size", "tar_size", "frames", "file_digest"):
            assert getattr(scanned, fact) == getattr(scan, fact)
    found.close()
    assert os.listdir(tmp_path / "scans") == []


def test_an_archive_that_changes_after_it_was_read(two: World, tmp_path: Path):
    found = Scans(two.layout, os.fspath(tmp_path / "scans"))
    assert found.of(1) is not None  # nothing is asked of it again, so all is read when it ends
    _wait_for_end(found)
    flip(two.layout.archive(2), 40)
    assert found.of(2) is None
    found.close()


def test_without_the_other_process(two: World, monkeypatch: pytest.MonkeyPatch):
    of = Scans.of

    def killed_before(found: Scans, number: int) -> Scanned | None:
        if found._process is not None:
            os.kill(found._process.pid, signal.SIGKILL)
        return of(found, number)

    _flip_frame(two)
    monkeypatch.setattr(Scans, "of", killed_before)
    assert [finding.kind for finding in two.findings()] == [Kind.ARCHIVE_DAMAGED]


def test_a_list_that_was_cut_off_is_not_believed(two: World, tmp_path: Path):
    found = Scans(two.layout, os.fspath(tmp_path / "scans"))
    _wait_for_end(found)
    path = scans.path_of(os.fspath(tmp_path / "scans"), 1)
    os.truncate(path, os.path.getsize(path) - 1)
    assert found.of(1) is None
    found.close()


@pytest.mark.parametrize("processors", [{0}, {0, 1}])
def test_where_it_is_not_worth_it(
    two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: set[int]
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: processors)
    monkeypatch.setattr(scans, "WORTH", 0 if len(processors) == 1 else 1 << 20)
    found = Scans(two.layout, os.fspath(tmp_path / "scans"))
    assert found.of(1) is None
    assert not (tmp_path / "scans").exists()


def test_a_scan_leaves_nothing_of_a_damaged_archive(two: World, tmp_path: Path):
    _flip_frame(two)
    found = Scans(two.layout, os.fspath(tmp_path / "scans"))
    assert found.of(1) is None
    assert found.of(2) is not None
    found.close()
    assert os.listdir(tmp_path / "scans") == []


def test_nothing_is_read_for_a_parent_that_is_gone(two: World, tmp_path: Path):
    command = [sys.executable, "-m", "djafs.tools.validation.scan_worker"]
    ended = subprocess.run(
        [*command, two.layout.root, os.fspath(tmp_path), str(os.getppid())],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")


def _wait_for_end(found: Scans) -> None:
    assert found._process is not None
    found._process.wait(timeout=30)
