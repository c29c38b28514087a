"""Checkpoints: made from the log, whole or not used, and the log shorter for them."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import validate
from djafs.disk import checkpoint, lookup_log, lookup_segments, sqlite
from djafs.disk.checkpoint import CheckpointReader, checkpoint_numbers
from djafs.disk.index import Index
from djafs.errors import LookupLogDamageError, PackingError
from djafs.model import Calendar
from djafs.store import checkpoints, replaying
from djafs.store.log_keeper import LogKeeper, Pace
from rig.near_keeper import NearKeeper
from rig.small_store import DAY, ROOT, SECOND, TABLES, CopyingHost, SmallStore, rows_of


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_log, "SEGMENT", 4000)
    monkeypatch.setattr(checkpoint, "BLOCK", 10)


def names(world: SmallStore) -> list[str]:
    return sorted(os.listdir(world.layout.lookups))


def live_through(world: SmallStore) -> None:
    """Leave a row of every kind in the index, and let each have what it may have."""
    store = world.store
    inos = [world.file(b"%d.json" % n, b"document %d" % n * 100) for n in range(20)]
    with store.guard:
        directory = store.create(ROOT, b"directory", 0o40755, 1, 1).ino
        store.create(directory, b"link \xff\xfe", 0o120777, 1, 1, target=b"to \xff")
        store.create(directory, b"device", 0o20600, 1, 1, rdev=0x501)
        store.set_xattr(inos[0], b"user.\xe9", b"\x00\xff value")
        store.link(inos[1], directory, b"again")
        store.setattr(inos[2], mtime=world.now - 400 * DAY)
        store.setattr(directory, mtime=world.now - 500 * DAY)
    large = world.file(b"large", b"begin")
    with store.guard:
        store.write(large, 16 << 20, b"second part" * 10_000)
    world.collect()
    world.now += DAY
    for ino in inos[:8]:
        world.write(ino, b"document of another day %d" % ino)
    with store.guard:
        store.write(large, 16 << 20, b"other")
        store.write(inos[9], 4, b"a little")
        store.rename(ROOT, b"10.json", ROOT, b"11.json")
        store.rename(ROOT, b"directory", ROOT, b"renamed")
        store.unlink(ROOT, b"12.json")
    world.unlink(b"13.json")
    world.now += DAY
    with store.guard:
        store.punch(inos[14], 10, 50, 60)
    world.file(b"last", b"hot" * 30_000)
    store.syncer.flush()


def test_a_store_is_as_before_when_only_the_checkpoint_is_left(world):
    live_through(world)
    world.compact()
    tables, live, past = world.tables(), world.live(), world.past()
    assert [name for name in TABLES if not tables[name]] == []
    NearKeeper(world.store).checkpoint()
    number = checkpoint_numbers(world.layout)[0]
    assert names(world) == [f"{number:08}.djfc.zst", f"{number + 1:08}.djfl"]
    world.reopen(without_index=True)
    assert world.store.recovered.rebuilt
    assert (world.tables(), world.live(), world.past()) == (tables, live, past)
    world.reopen()
    assert not world.store.recovered.rebuilt


@pytest.mark.parametrize("batch", [1, 8192])
def test_one_is_made_from_the_one_before(world, monkeypatch, batch):
    monkeypatch.setattr(replaying, "BATCH", batch)
    keeper = NearKeeper(world.store)
    for day in range(3):
        world.now += DAY
        for number in range(30):
            world.file(b"%d-%d" % (day, number), b"%d" % number)
        world.unlink(b"%d-7" % day)
        keeper.checkpoint()
        assert len(checkpoint_numbers(world.layout)) == 1
    assert lookup_segments.segment_numbers(world.layout)[0] > 3
    tables, past = world.tables(), world.past()
    world.reopen(without_index=True)
    assert (world.tables(), world.past()) == (tables, past)


def test_the_index_has_no_part_in_it(world):
    live_through(world)
    keeper = NearKeeper(world.store)
    keeper.close_segments()
    tables = world.tables()
    world.store.recovered.writing.connection.execute("UPDATE inode SET nlink = 9 WHERE ino > 5")
    keeper.checkpoint()
    world.reopen(without_index=True)
    assert world.tables() == tables


def test_one_function_makes_an_index_of_what_is_on_disk(world, tmp_path):
    live_through(world)
    NearKeeper(world.store).checkpoint()
    world.file(b"later", b"later")
    tables = world.tables()
    identity = world.store.identity
    index = checkpoints.rebuild(
        world.layout, identity.id, Calendar(), str(tmp_path / "index.sqlite")
    )
    assert rows_of(index.connection) == tables
    index.close()


# When


def test_one_is_due_when_it_spares_as_much_as_the_last_one_has(world):
    keeper = NearKeeper(world.store, Pace(least=2000, least_at_rest=1 << 40))
    made = []
    for number in range(600):
        world.file(b"%d" % number, b"%d" % number)
        if number % 10 == 9:
            world.store.syncer.flush()
            keeper.keep()
            if keeper.made > len(made):
                made.append(number)
    gaps = [after - before for before, after in itertools.pairwise(made)]
    assert len(made) > 2
    assert gaps[-1] > gaps[0]


def test_what_is_needless_stays_for_a_while_for_those_who_read_it(world):
    keeper = NearKeeper(world.store, Pace(least=1, grace=3600))
    for number in range(60):
        world.file(b"%d" % number, b"%d" % number)
    world.store.syncer.flush()
    Path(world.layout.lookups, "00000009.djfc.zst.tmp").write_bytes(b"given up")
    keeper.keep()
    before = names(world)
    assert keeper.made == 1
    assert "00000001.djfl.zst" in before
    assert "00000009.djfc.zst.tmp" not in before
    keeper.keep()
    assert names(world) == before
    hasty = NearKeeper(world.store, Pace(grace=0))
    hasty.keep()
    assert [n.partition(".")[2] for n in names(world)] == ["djfc.zst", "djfl"]


def test_at_rest_less_is_enough(world):
    keeper = NearKeeper(world.store, Pace(least_at_rest=100, rest=0))
    world.file(b"a", b"a")
    keeper.keep()
    assert checkpoint_numbers(world.layout) == [1]
    keeper.keep()
    assert checkpoint_numbers(world.layout) == [1]
    never = NearKeeper(world.store, Pace(least_at_rest=100, rest=3600))
    world.file(b"b", b"b" * 100)
    never.keep()
    assert never.made == 0


# What can go wrong


def test_a_crash_between_any_two_steps_loses_nothing(tmp_path):
    host = CopyingHost()
    world = SmallStore(tmp_path / "store", host)
    live_through(world)
    NearKeeper(world.store).checkpoint()
    for number in range(20):
        world.file(b"more-%d" % number, b"%d" % number)
    tables = world.tables()
    host.root, host.target = world.path, tmp_path / "copies"
    NearKeeper(world.store).checkpoint()
    host.target = None
    world.close()
    steps = {"checkpoint.create", "checkpoint.write", "checkpoint.sync", "checkpoint.rename",
             "checkpoint.unlink", "checkpoint.unlink-log", "lookup.begin"}  # fmt: skip
    assert steps <= set(host.steps)
    for number, step in enumerate(host.steps):
        copy = SmallStore(tmp_path / "copies" / f"{number:03}-{step}")
        assert not copy.store.recovered.rebuilt, step
        assert copy.tables() == tables, step
        copy.reopen(without_index=True)
        assert copy.tables() == tables, step
        NearKeeper(copy.store).checkpoint()
        assert len(checkpoint_numbers(copy.layout)) == 1
        assert not [name for name in names(copy) if name.endswith(".tmp")]
        copy.close()
        validate(copy.path)


def test_what_does_not_read_back_gets_no_name(world, monkeypatch):
    live_through(world)
    before = names(world)

    def forge(db, store, true=checkpoint.checkpoint_lines):
        for block in true(db, store):
            yield block.replace(b'"size":26', b'"size":27')

    monkeypatch.setattr(checkpoint, "checkpoint_lines", forge)
    with pytest.raises(LookupLogDamageError, match="sum is wrong"):
        NearKeeper(world.store).checkpoint()
    assert checkpoint_numbers(world.layout) == []
    assert len(names(world)) >= len(before)


def test_one_that_fails_is_not_tried_again_at_once(world, monkeypatch):
    keeper = NearKeeper(world.store, Pace(least_at_rest=1, rest=0))
    tried = []

    def fail(number: int) -> None:
        tried.append(number)
        raise PackingError("no room")

    monkeypatch.setattr(keeper, "_write", fail)
    world.file(b"a", b"a")
    with pytest.raises(PackingError, match="no room"):
        keeper.keep()
    keeper.keep()
    assert len(tried) == 1


def test_a_checkpoint_that_says_something_else_gets_no_name(world, tmp_path, monkeypatch):
    live_through(world)
    lines = checkpoint.checkpoint_lines

    def forge(db, store):
        twin = Index.create(str(tmp_path / "twin"))
        sqlite.copy(db, twin.connection)
        twin.connection.execute("UPDATE inode SET nlink = 5 WHERE ino = 4")
        yield from lines(twin.connection, store)
        twin.close()

    monkeypatch.setattr(checkpoint, "checkpoint_lines", forge)
    with pytest.raises(LookupLogDamageError, match="does not read back"):
        NearKeeper(world.store).checkpoint()
    assert checkpoint_numbers(world.layout) == []


@pytest.fixture
def made(tmp_path: Path) -> tuple[SmallStore, bytes]:
    """A store with a checkpoint, and that inflated."""
    world = SmallStore(tmp_path / "store")
    live_through(world)
    NearKeeper(world.store).checkpoint()
    world.close()
    path = world.layout.checkpoint(checkpoint_numbers(world.layout)[0])
    with lookup_segments.open_compressed(path) as lines:
        return world, lines.read()


def replace(world: SmallStore, content: bytes) -> str:
    import zstandard

    path = world.layout.checkpoint(checkpoint_numbers(world.layout)[0])
    Path(path).write_bytes(zstandard.compress(content))
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace(b'"uid":7', b'"uid":0', 1), "a sum is wrong"),
        (lambda text: text[: len(text) // 2], "it is cut off"),
        (lambda text: b"".join(text.splitlines(keepends=True)[:-1]), "it is cut off"),
        (lambda text: text + b"{}\n", "rows that it should"),
        (lambda text: b"", "it is cut off"),
        (lambda text: b'{"row":"checkpoint","sum":0}\n', "sum is wrong"),
        (lambda text: text.replace(b"\n", b"", 3), "a sum is wrong"),
        (lambda text: b"x\n" * 100, "it is cut off"),
    ],
)
def test_damage_is_noticed(made, damage, message):
    world, text = made
    path = replace(world, damage(text))
    store = world.store.identity.id
    with pytest.raises(LookupLogDamageError, match=message):
        for _ in CheckpointReader(path, store):
            pass
    os.unlink(world.layout.index)
    with pytest.raises(LookupLogDamageError, match="is missing"):
        world.open()


def test_a_checkpoint_of_another_store_is_not_taken(made):
    world, _ = made
    path = world.layout.checkpoint(checkpoint_numbers(world.layout)[0])
    with pytest.raises(LookupLogDamageError, match="another store"):
        CheckpointReader(path, "somebody's")


def test_a_damaged_one_does_no_harm_while_there_is_an_index(made):
    world, text = made
    replace(world, text[:-30])
    world.open()
    assert not world.store.recovered.rebuilt
    world.close()


def test_the_one_before_is_taken_when_its_segments_are_there(tmp_path):
    world = SmallStore(tmp_path / "store")
    live_through(world)
    keeper = NearKeeper(world.store)
    keeper.checkpoint()
    kept = tmp_path / "kept"
    shutil.copytree(world.layout.lookups, kept)
    world.file(b"later", b"later")
    world.store.syncer.flush()
    shutil.copytree(world.layout.lookups, kept, dirs_exist_ok=True)
    keeper.checkpoint()
    tables = world.tables()
    world.close()
    newest = world.layout.checkpoint(checkpoint_numbers(world.layout)[-1])
    Path(newest).write_bytes(b"damaged")
    for file in kept.iterdir():
        target = Path(world.layout.lookups) / file.name
        if not target.exists():
            shutil.copy(file, target)
    os.unlink(world.layout.index)
    world.open()
    assert world.tables() == tables
    world.close()


def test_a_log_that_ends_before_its_checkpoint_is_damaged(made):
    world, _ = made
    for number in lookup_segments.segment_numbers(world.layout):
        os.unlink(lookup_segments.segment_path(world.layout, number))
    with pytest.raises(LookupLogDamageError, match="has no lookup log"):
        world.open()


def test_what_somebody_reads_stays_until_he_is_done(world):
    world.file(b"a", b"content")
    keeper = NearKeeper(world.store)
    keeper.close_log()
    with lookup_segments.kept(world.layout):
        keeper.checkpoint()
        assert "00000001.djfl.zst" in names(world)
    world.file(b"b", b"content")
    keeper.checkpoint()
    assert "00000001.djfl.zst" not in names(world)


def test_a_process_of_its_own_makes_it(world, monkeypatch):
    monkeypatch.undo()
    for number in range(50):
        world.file(b"%d" % number, b"%d" % number)
    tables = world.tables()
    keeper = LogKeeper(world.store)
    keeper.checkpoint()
    assert names(world) == ["00000001.djfc.zst", "00000002.djfl"]
    world.reopen(without_index=True)
    assert world.tables() == tables
    keeper.close()
    world.file(b"later", b"")
    keeper = LogKeeper(world.store)
    keeper.close()
    with pytest.raises(PackingError, match="stopped"):
        keeper.checkpoint()
    assert world.now % SECOND == 0


@pytest.mark.skipif(not shutil.which("jq") or not shutil.which("zstd"), reason="no zstd or no jq")
def test_zstd_and_jq_read_it(made):
    world, _ = made
    path = world.layout.checkpoint(checkpoint_numbers(world.layout)[0])
    command = f"zstd -dcq {path} | jq -r 'select(.row == \"dentry\").name'"
    found = subprocess.run(["sh", "-c", command], check=True, capture_output=True).stdout
    assert b"last" in found.splitlines()
