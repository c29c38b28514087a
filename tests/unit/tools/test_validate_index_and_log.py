"""djafs validate: an index and a log that are damaged, or disagree, are found and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from djafs.disk import lookup_log, records, sqlite
from djafs.model import Calendar
from djafs.tools.validation.findings import Kind, Severity
from djafs.tools.validation.namespace import NamespaceCheck
from djafs.tools.validation.workspace import Workspace
from rig.dated_store import LIVE_B, OLD_B, World, flip, lines_of, set_content, set_inode, sql

Change = str | Callable[[sqlite.Connection], None]

# Index


def test_a_missing_index_is_a_warning(world: World):
    os.unlink(world.layout.index)
    status, lines = lines_of(world.path)
    assert (status, lines[-1]) == (0, "0 errors, 1 warning")
    assert "mount the store" in lines[-2]
    flip(world.layout.archive(1), 40)
    assert [f.kind for f in world.findings()] == [Kind.INDEX_MISSING, Kind.ARCHIVE_DAMAGED]


def test_an_index_of_another_schema_is_a_warning(world: World):
    sql(world, "UPDATE state SET value = 0 WHERE key = 'schema'")
    assert world.only(Kind.INDEX_OTHER_SCHEMA).severity is Severity.WARNING


def test_an_index_that_is_no_database(world: World):
    Path(world.layout.index).write_bytes(b"garbage" * 10_000)
    assert "djafs validate -r" in world.only(Kind.INDEX_DAMAGED).advice


def test_an_index_of_another_store(world: World, tmp_path: Path):
    other = World(tmp_path / "other")
    other.close()
    shutil.copy(other.layout.index, world.layout.index)
    assert world.only(Kind.INDEX_DAMAGED).what.startswith("it was made from another log")


@pytest.mark.parametrize(
    ("statement", "table", "affected"),
    [
        (set_inode(5, size=7), "inode", ["live/c.json"]),
        ("DELETE FROM dentry WHERE name = CAST('c.json' AS BLOB)", "dentry", ["live/c.json"]),
        ("UPDATE version SET mtime = 1 WHERE ino = 4", "version", [OLD_B]),
        ("DELETE FROM version WHERE ino = 4", "version", [OLD_B]),
        (set_content(2, at=1536), "content", ["live/c.json"]),
        ("DELETE FROM archive", "archive", []),
        ("DELETE FROM day WHERE day = (SELECT min(day) FROM day)", "day", ["snapshots/2026/09/20"]),
        ("UPDATE state SET value = 4 WHERE key = 'ino'", "ino", []),
    ],
)  # fmt: skip
def test_rows_that_differ_from_the_log(
    world: World, statement: Change, table: str, affected: list[str]
):
    sql(world, statement)
    finding = world.only(Kind.INDEX_DIFFERS)
    assert table in finding.what
    assert finding.affected == affected


def test_an_index_that_lags_behind_the_log_is_normal(open_world: World):
    before = open_world.path.with_name("index")
    shutil.copy(open_world.layout.index, before)
    wal = open_world.layout.index + "-wal"
    shutil.copy(wal, before.with_name("index-wal"))
    open_world.file(2, b"later.json", b"later")
    open_world.store.syncer.flush()
    open_world.close()
    shutil.copy(before, open_world.layout.index)
    shutil.copy(before.with_name("index-wal"), wal)
    assert open_world.findings() == []
    open_world.open()


# Lookup log


def test_a_damaged_line_names_what_changed_then(world: World):
    path = world.layout.lookup_segment(1)
    text = Path(path).read_bytes()
    flip(path, text.index(b'"name":"hot.json"') + 9)
    finding = world.only(Kind.LOG_DAMAGED)
    assert finding.where == "lookups/00000001.djfl"
    assert "2026-09-21 12:00" in finding.what
    assert "live/hot.json" in finding.affected
    assert "live/c.json" not in finding.affected
    assert "keep index.sqlite" in finding.advice


def test_a_lost_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lookup_log, "SEGMENT", 1000)
    world = World(tmp_path / "store")
    world.close()
    os.unlink(world.layout.lookup_segment(2))
    assert "segment 2 is missing" in world.only(Kind.LOG_DAMAGED).details[0]
    flip(world.layout.lookup_segment(3), 10)
    assert len(world.findings()) == 1  # both in the file behind the hole
    flip(world.layout.lookup_segment(1), 10)
    assert {finding.where for finding in world.findings()} == {
        "lookups/00000001.djfl",
        "lookups/00000003.djfl",
    }


def test_a_torn_last_line_is_cut_off_by_the_next_mount(world: World):
    with open(world.layout.lookup_segment(1), "ab") as file:
        file.write(b'{"op":"unlink","seq":99')
    finding = world.only(Kind.LOG_TAIL)
    assert finding.severity is Severity.NOTE
    assert lines_of(world.path)[1][-1] == "0 errors"


def test_a_log_that_ends_before_its_index(world: World):
    path = Path(world.layout.lookup_segment(1))
    text = path.read_bytes()
    path.write_bytes(text[: text.index(b'{"op":"create"', len(text) // 2)])
    kinds = [finding.kind for finding in world.findings()]
    assert kinds == [Kind.LOG_SHORT]


def test_a_record_that_does_not_fit(open_world: World):
    log = open_world.store.log
    log.append(records.Unlink(log.seq + 1, open_world.clock(), 2, "nothing"))
    finding = open_world.only(Kind.LOG_MISFIT)
    assert "Unlink" in finding.details[0]


# What the log itself gets wrong


def test_content_that_is_in_no_archive(open_world: World):
    open_world.store.record(records.Pack(0, open_world.clock(), open_world.hot, 999))
    finding = open_world.only(Kind.CONTENT)
    assert finding.affected == ["live/hot.json"]


def test_a_directory_in_itself(open_world: World):
    store = open_world.store
    inner = store.create(open_world.directory, b"inner", 0o40755, 0, 0).ino
    store.rename(2, b"a", inner, b"a")
    finding = open_world.only(Kind.LOG_MISFIT)
    assert "a directory would lie in itself" in finding.details[0]


@pytest.mark.parametrize(
    ("statement", "what", "affected"),
    [
        (
            "INSERT INTO dentry SELECT parent, 99, hash, name, ino, begin, made FROM dentry"
            " WHERE ino = 5",
            ["names that are there twice: 1", "wrong counts of entries: 1", "wrong link counts: 1"],
            ["live", "live/c.json"],
        ),
        (
            "DELETE FROM inode WHERE ino = 5",
            ["names without an inode: 1", "wrong counts of entries: 1"],
            ["live", "live/c.json"],
        ),
        (
            "UPDATE dentry SET parent = 6 WHERE ino = 4",
            ["names in what is no directory: 1", "wrong counts of entries: 1"],
            ["live/a", "live/hot.json/b.json"],
        ),
        ("UPDATE inode SET nlink = 3 WHERE ino = 4", ["wrong link counts: 1"], [LIVE_B]),
        ("UPDATE inode SET nlink = 3 WHERE ino = 3", ["wrong link counts: 1"], ["live/a"]),
        (set_inode(2, files=3), ["wrong counts of entries: 1"], ["live"]),
        (
            set_inode(3, parent=3),
            ["directories with a wrong parent: 1", "directories out of reach: 1"],
            ["live/a"],
        ),
        (
            "UPDATE dentry SET hash = 1 WHERE ino = 5",
            ["names that are not found: 3"],
            ["live/a", "live/c.json", "live/hot.json"],
        ),
        ("INSERT INTO part VALUES (9, 1, 1, x'90', NULL)", ["contents without an inode: 1"], []),
    ],
)
def test_namespaces_that_do_not_fit_together(
    world: World, statement: Change, what: list[str], affected: list[str]
):
    sql(world, statement)
    with Workspace(world.layout) as workspace:
        check = NamespaceCheck(workspace.copy_index(), Calendar(), workspace)
        found = list(check.run())
        assert [finding.what for finding in found] == what
        assert sorted({path for finding in found for path in finding.affected}) == affected
