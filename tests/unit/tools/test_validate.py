"""djafs validate: each kind of damage is found, and named with the files that it affects."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from djafs.disk import lookup_log, records, sqlite
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.errors import NewerFormatError, NotAStoreError
from djafs.model import Calendar
from djafs.packing.pack import pack
from djafs.packing.packer import Packer
from djafs.packing.plan import PackPlan, PackResult
from djafs.store.collector import Collector
from djafs.store.store import Store
from djafs.tools.validate import check_store, validate
from djafs.tools.validation.findings import Finding, Kind, Severity
from djafs.tools.validation.namespace import NamespaceCheck
from djafs.tools.validation.workspace import Workspace

SECOND = 10**9
NOON = 1_789_905_600 * SECOND  # 2026-09-20 12:00:00 UTC
DAY = 86400 * SECOND


class NearPacker(Packer):
    """Packs in this process."""

    def run(self, plan: PackPlan, cancelled: Callable[[], bool] | None = None) -> PackResult:
        index = Index.open_read_only(self._layout)
        try:
            return pack(plan, self._layout, index.find_content)
        finally:
            index.close()


class World:
    """A store whose clock is moved by hand.

    2026-09-20: ``a/b.json`` and ``c.json`` are written, and packed. 2026-09-21: ``a/b.json`` is
    written anew, and ``hot.json`` is written; both stay in the hot cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.layout = Layout(os.fspath(path))
        self.now = NOON
        self.open()
        self.directory = self.store.create(2, b"a", 0o40755, 1, 1).ino
        self.b = self.file(self.directory, b"b.json", b"first" * 1000)
        self.c = self.file(2, b"c.json", b"c" * 5000)
        self.collect()
        self.now += DAY
        self.write(self.b, b"second" * 1000)
        self.hot = self.file(2, b"hot.json", b"hot" * 50_000)
        self.store.syncer.flush()

    def open(self) -> None:
        self.store = Store.open(os.fspath(self.path), create=True, clock=self.clock)

    def clock(self) -> int:
        self.now += SECOND
        return self.now

    def file(self, parent: int, name: bytes, content: bytes) -> int:
        ino = self.store.create(parent, name, 0o100644, 1, 1).ino
        self.store.write(ino, 0, content)
        return ino

    def write(self, ino: int, content: bytes) -> None:
        self.store.setattr(ino, size=0)
        self.store.write(ino, 0, content)

    def collect(self) -> None:
        collector = Collector(self.store, NearPacker(self.layout), 1)
        collector.collect(0)
        collector.close()

    def close(self) -> None:
        self.store.close()

    def findings(self) -> list[Finding]:
        found: list[Finding] = []

        def keep(finding: Finding) -> None:
            affected = list(finding.affected)  # the workspace is gone later
            found.append(Finding(finding.kind, finding.where, finding.what, affected,
                                 finding.details))  # fmt: skip

        check_store(self.layout, keep, lambda line: None)
        return found

    def only(self, kind: Kind) -> Finding:
        """The one finding, of this kind."""
        found = self.findings()
        assert [finding.kind for finding in found] == [kind], found
        return found[0]


def lines_of(path: Path) -> tuple[int, list[str]]:
    lines: list[str] = []
    return validate(os.fspath(path), verbose=False, report=lines.append), lines


def flip(path: str, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def sql(world: World, statement: str) -> None:
    db = sqlite.connect(world.layout.index)
    db.execute(statement)
    assert db.changes() > 0
    db.close()


@pytest.fixture
def open_world(tmp_path: Path) -> Iterator[World]:
    """The store, in use."""
    world = World(tmp_path / "store")
    yield world
    world.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The store, closed."""
    world = World(tmp_path / "store")
    world.close()
    return world


OLD_B, LIVE_B = "snapshots/2026/09/20/a/b.json", "live/a/b.json"


def test_a_store_in_use_is_clean(open_world: World):
    assert lines_of(open_world.path) == (0, ["0 errors"])


def test_a_closed_store_is_clean_and_untouched(world: World):
    def state() -> dict[str, tuple[int, int]]:
        paths = [world.path, *world.path.rglob("*")]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in paths}

    before = state()
    assert lines_of(world.path) == (0, ["0 errors"])
    assert state() == before


def test_verbose_says_what_was_checked(world: World):
    lines: list[str] = []
    validate(os.fspath(world.path), verbose=True, report=lines.append)
    text = "\n".join(lines)
    for said in ("lookup log: 1 segment", "1 archive, 2 contents", "5 inodes", "compared"):
        assert said in text
    assert lines[-1] == "0 errors"


def test_no_store(tmp_path: Path, world: World):
    with pytest.raises(NotAStoreError):
        lines_of(tmp_path / "nothing")
    identity = json.loads(Path(world.layout.identity).read_text())
    Path(world.layout.identity).write_text(json.dumps({**identity, "format": 99}))
    with pytest.raises(NewerFormatError):
        lines_of(world.path)


# Archives


def test_a_damaged_frame_names_every_file_in_it(world: World):
    flip(world.layout.archive(1), 40)
    status, lines = lines_of(world.path)
    assert status == 4
    assert lines[0] == "error: archives/00000001.tar.zst: 2 problems"
    assert lines[1].startswith("    at byte 0: frame 0 cannot be inflated")
    assert lines[3:5] == ["    affects live/c.json", f"    affects {OLD_B}"]
    assert lines[5] == "    next: restore archives/00000001.tar.zst from a backup of the store"
    assert lines[-1] == "1 error"


@pytest.mark.parametrize("keep", [0, 1, -1, -100])
def test_an_archive_that_is_cut_off(world: World, keep: int):
    path = world.layout.archive(1)
    os.truncate(path, keep if keep >= 0 else os.path.getsize(path) + keep)
    finding = world.only(Kind.ARCHIVE_DAMAGED)
    assert finding.affected == ["live/c.json", OLD_B]


def test_a_missing_archive(world: World):
    os.unlink(world.layout.archive(1))
    finding = world.only(Kind.ARCHIVE_MISSING)
    assert (finding.where, finding.what) == ("archives/00000001.tar.zst", "it is missing")
    assert finding.affected == ["live/c.json", OLD_B]


def test_an_archive_that_is_another_one(world: World, tmp_path: Path):
    other = World(tmp_path / "other")
    other.close()
    for path in (world.layout.archive(1), world.layout.archive_metadata(1)):
        os.unlink(path)
    other.open()
    other.now += DAY
    other.write(other.c, b"x" * 5000)
    other.collect()
    other.close()
    shutil.copy(other.layout.archive(2), world.layout.archive(1))
    shutil.copy(other.layout.archive_metadata(2), world.layout.archive_metadata(1))
    finding = world.only(Kind.ARCHIVE_DAMAGED)
    assert finding.affected == ["live/c.json", OLD_B]


@pytest.mark.parametrize("key", ["members", "content_bytes", "sha256", "archive", "newest_ns"])
def test_metadata_that_is_not_true(world: World, key: str):
    path = Path(world.layout.archive_metadata(1))
    keys = json.loads(path.read_bytes())
    keys[key] = "0" * 64 if key == "sha256" else keys[key] + 1
    path.write_bytes(json.dumps(keys, indent=2).encode() + b"\n")
    assert world.only(Kind.METADATA).affected == []


def test_metadata_that_is_missing_or_garbage(world: World):
    path = Path(world.layout.archive_metadata(1))
    path.write_bytes(b"\xff{")
    assert world.only(Kind.METADATA).where == "archives/00000001.djfm"
    path.unlink()
    assert world.only(Kind.METADATA).what == "it is missing"


# Hot cache


def test_hot_content_that_fails_its_checksum(world: World):
    number = max(int(name[:8]) for name in os.listdir(world.layout.hot))
    path = world.layout.hot_segment(number)
    flip(path, 6000 + 70_000)  # in the second 64 KiB of hot.json
    finding = world.only(Kind.HOT)
    assert finding.affected == ["live/hot.json"]
    assert finding.what == "bytes 71536 to 137072 fail their checksum"
    os.truncate(path, 5999)
    assert world.only(Kind.HOT).affected == [LIVE_B, "live/hot.json"]
    os.unlink(path)
    finding = world.only(Kind.HOT)
    assert (finding.what, finding.affected) == ("it is missing", [LIVE_B, "live/hot.json"])


def test_hot_content_of_a_past_day(open_world: World):
    open_world.now += DAY
    open_world.write(open_world.hot, b"new")
    open_world.close()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    flip(open_world.layout.hot_segment(number), 6000)
    assert open_world.only(Kind.HOT).affected == ["snapshots/2026/09/21/hot.json"]
    open_world.open()


def test_a_part_of_a_large_file_now_and_in_the_past(open_world: World):
    size = 16 << 20
    big = open_world.file(2, b"big", b"x" * 10)
    open_world.store.write(big, size, b"y" * 10)
    open_world.store.write(big, 2 * size, b"z" * 10)
    open_world.store.syncer.flush()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    path = open_world.layout.hot_segment(number)
    at = os.path.getsize(path) - 20
    open_world.now += DAY
    open_world.store.write(big, size, b"Y" * 10)
    open_world.store.syncer.flush()
    flip(path, at)
    assert open_world.only(Kind.HOT).affected == ["snapshots/2026/09/21/big"]
    flip(path, at)
    flip(path, at + 10)
    assert open_world.only(Kind.HOT).affected == ["live/big", "snapshots/2026/09/21/big"]
    flip(path, at + 10)


# Names


def test_every_name_of_a_file_is_named(open_world: World):
    store = open_world.store
    store.link(open_world.hot, open_world.directory, b"link \xff\n")
    store.rename(2, b"hot.json", 2, "hört.json".encode())
    open_world.now += DAY
    store.rename(2, b"a", 2, b"renamed")
    store.syncer.flush()
    number = max(int(name[:8]) for name in os.listdir(open_world.layout.hot))
    path = open_world.layout.hot_segment(number)
    flip(path, 6000)
    _, lines = lines_of(open_world.path)
    assert [line for line in lines if "affects" in line] == [
        "    affects live/hört.json",
        "    affects live/renamed/link \\xff\\n",
    ]
    flip(path, 6000)


def test_a_file_in_a_directory_that_was_renamed_later(world: World):
    world.open()
    world.now += DAY
    world.store.rename(2, b"a", 2, b"renamed")
    world.close()
    flip(world.layout.archive(1), 40)
    assert world.only(Kind.ARCHIVE_DAMAGED).affected == ["live/c.json", OLD_B]


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
    assert "remove index.sqlite" in world.only(Kind.INDEX_DAMAGED).advice


def test_an_index_of_another_store(world: World, tmp_path: Path):
    other = World(tmp_path / "other")
    other.close()
    shutil.copy(other.layout.index, world.layout.index)
    assert world.only(Kind.INDEX_DAMAGED).what.startswith("it was made from another log")


@pytest.mark.parametrize(
    ("statement", "table", "affected"),
    [
        ("UPDATE inode SET size = 7 WHERE ino = 5", "inode", ["live/c.json"]),
        ("DELETE FROM dentry WHERE name = CAST('c.json' AS BLOB)", "dentry", ["live/c.json"]),
        ("UPDATE version SET mtime = 1 WHERE ino = 4", "version", [OLD_B]),
        ("DELETE FROM version WHERE ino = 4", "version", [OLD_B]),
        ("UPDATE content SET at = 1536 WHERE cid = 2", "content", ["live/c.json"]),
        ("DELETE FROM archive", "archive", []),
        ("DELETE FROM day WHERE day = (SELECT min(day) FROM day)", "day", ["snapshots/2026/09/20"]),
        ("UPDATE state SET value = 4 WHERE key = 'ino'", "ino", []),
    ],
)  # fmt: skip
def test_rows_that_differ_from_the_log(
    world: World, statement: str, table: str, affected: list[str]
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
        ("UPDATE inode SET files = 3 WHERE ino = 2", ["wrong counts of entries: 1"], ["live"]),
        (
            "UPDATE inode SET parent = 3 WHERE ino = 3",
            ["directories with a wrong parent: 1", "directories out of reach: 1"],
            ["live/a"],
        ),
        ("INSERT INTO part VALUES (9, 1, 1, x'90', NULL)", ["contents without an inode: 1"], []),
    ],
)
def test_namespaces_that_do_not_fit_together(
    world: World, statement: str, what: list[str], affected: list[str]
):
    sql(world, statement)
    with Workspace(world.layout) as workspace:
        check = NamespaceCheck(workspace.copy_index(), Calendar(), workspace)
        found = list(check.run())
        assert [finding.what for finding in found] == what
        assert sorted({path for finding in found for path in finding.affected}) == affected


# The rest


def test_djafs_json_that_is_damaged(world: World):
    Path(world.layout.identity).write_text("{")
    assert world.only(Kind.IDENTITY).where == "djafs.json"
    os.unlink(world.layout.identity)
    assert world.only(Kind.IDENTITY).where == "djafs.json"


def test_files_that_belong_to_nothing(world: World):
    for name in ("notes.txt", "hot/x", "lookups/y", "archives/00000009.tar.zst"):
        (world.path / name).touch()
    found = world.findings()
    assert {finding.kind for finding in found} == {Kind.LEFTOVER}
    assert [finding.where for finding in found] == [
        "notes.txt",
        "hot/x",
        "lookups/y",
        "archives/00000009.tar.zst",
    ]
    assert lines_of(world.path)[1][-1] == "0 errors, 4 warnings"
