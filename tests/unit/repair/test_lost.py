"""What a repair could not bring back: named, an error to read, and found again later."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import validate
from djafs.cli.main import main
from djafs.disk import lost
from djafs.disk.host import Host
from djafs.errors import DamageError
from djafs.extents import CHUNK
from djafs.store.store import Store
from djafs.tools.validate import validate as check
from rig.broken_store import look, repair
from rig.small_store import DAY, NOON, ROOT, SmallStore

Copy = Callable[[], Path]

EXTRACT = Path(__file__).parents[3] / "examples" / "extract-by-hand.sh"


def lose_archive(small: SmallStore) -> None:
    """Remove the only archive, and give up what was in it."""
    small.close()
    os.unlink(small.layout.archive(1))
    assert repair(small.path)[0] == 4
    small.open()


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    return SmallStore(tmp_path / "store")


def ino_of(small: SmallStore, name: bytes) -> int:
    dentry = small.store.dentry(ROOT, name)
    assert dentry is not None
    return dentry.ino


def read(small: SmallStore, name: bytes, offset: int, size: int) -> bytes:
    return small.store.reads.live(ino_of(small, name), offset, size)


def test_stand_ins_are_told_from_digests():
    assert lost.sum_in(lost.stand_in(0xDEADBEEF, 42)) == 0xDEADBEEF
    assert lost.stand_in(7, 1) != lost.stand_in(7, 2)
    assert lost.sum_in(random.Random(1).randbytes(32)) is None


def test_lost_files_that_are_deleted_leave_nothing(small: SmallStore):
    small.file(b"a", b"lost" * 1000)
    small.file(b"b", b"kept by a snapshot" * 1000)
    small.collect()
    lose_archive(small)
    small.unlink(b"a")  # within its minute: no day shows it
    small.now += DAY
    small.unlink(b"b")
    small.close()
    lines: list[str] = []
    assert check(os.fspath(small.path), verbose=False, report=lines.append) == 4
    shown = [line for line in lines if "affects" in line]
    assert len(shown) == 1 and shown[0].endswith("/b") and "snapshots/" in shown[0]


def test_all_is_well_when_nothing_shows_what_is_lost(small: SmallStore):
    small.file(b"a", b"lost" * 1000)
    small.collect()
    lose_archive(small)
    small.unlink(b"a")
    small.close()
    validate(small.path)
    status, _ = repair(small.path)  # lets go of what was known of it
    assert status == 0


def test_the_rest_of_a_large_file_can_be_read_and_packed(small: SmallStore):
    content = random.Random(1).randbytes(5 * CHUNK + 100)
    small.file(b"a", content)
    small.close()
    with open(small.layout.hot_segment(1), "r+b") as file:
        file.seek(2 * CHUNK + 7)
        file.write(b"!!")
    assert repair(small.path)[0] == 4
    small.open()
    assert read(small, b"a", 0, 2 * CHUNK) == content[: 2 * CHUNK]
    assert read(small, b"a", 3 * CHUNK, 10 * CHUNK) == content[3 * CHUNK :]
    with pytest.raises(DamageError, match="is lost"):
        read(small, b"a", 2 * CHUNK, 1)
    done = small.collect()
    assert (done.files, done.failed) == (1, 0)
    assert os.listdir(small.layout.hot) == []
    assert read(small, b"a", 3 * CHUNK, 10 * CHUNK) == content[3 * CHUNK :]
    with pytest.raises(DamageError, match="is lost"):
        read(small, b"a", 2 * CHUNK, 1)
    small.reopen(without_index=True)
    with pytest.raises(DamageError, match="is lost"):
        read(small, b"a", 2 * CHUNK, 1)
    source = small.path.with_name("source")
    source.mkdir()
    (source / "a").write_bytes(content)
    small.close()
    assert repair(small.path, source)[0] == 1
    small.open()
    assert small.live() == {b"a": content}
    small.close()
    validate(small.path)


def test_lost_content_is_no_duplicate_of_what_is_written_again(small: SmallStore):
    small.file(b"a", b"the same" * 1000)
    small.collect()
    lose_archive(small)
    small.file(b"again", b"the same" * 1000)
    done = small.collect()
    assert done.duplicates == 0
    assert read(small, b"again", 0, 8) == b"the same"
    small.close()
    status, lines = repair(small.path)  # another archive has it now
    assert status == 1, lines
    small.open()
    assert small.live() == dict.fromkeys((b"a", b"again"), b"the same" * 1000)
    small.close()
    validate(small.path)


def test_content_is_taken_from_the_hot_cache(small: SmallStore):
    small.file(b"a", b"packed and still hot" * 1000)
    small.store.syncer.flush()
    hot = Path(small.layout.hot_segment(1))
    spare = hot.with_suffix(".spare")
    shutil.copy(hot, spare)
    small.collect()
    small.close()
    os.rename(spare, hot)  # as after a crash before it was removed
    os.unlink(small.layout.archive(1))
    assert repair(small.path)[0] == 1
    assert look(small.path).live == {b"a": b"packed and still hot" * 1000}


def test_content_is_taken_from_what_an_earlier_repair_kept(built, copy: Copy):
    store = copy()
    archive = store / "archives/00000002.tar.zst"
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    assert repair(store)[0] == 4
    (kept,) = store.glob("damaged/*/archives/00000002.tar.zst")
    kept.write_bytes(content)  # whoever keeps it may know better
    status, lines = repair(store)
    assert status == 1, lines
    assert look(store).live == built.contents.live


def test_the_log_and_the_index_are_lost(built, copy: Copy):
    """Names come from the archives, and none of them has other bytes than it had."""
    store = copy()
    for file in [*store.glob("lookups/*"), store / "index.sqlite"]:
        file.unlink()
    status, lines = repair(store)
    assert status == 4
    assert any("no log" in line or "gap" in line for line in lines)
    found = look(store, NOON + 5 * DAY)
    packed = {name: built.contents.live[name] for name in built.contents.live
              if not name.startswith((b"hot", b"large"))}  # fmt: skip
    assert found.live == packed
    assert repair(store)[0] == 0
    assert list(store.glob("damaged/*/hot/*.log"))


def test_lines_behind_a_gap_are_kept(built, copy: Copy):
    store = copy()
    (store / "index.sqlite").unlink()
    log = store / "lookups/00000003.djfl"
    content = log.read_bytes()
    log.write_bytes(content.replace(b'"name":"hot-0.json"', b'"name":"hot-X.json"'))
    status, lines = repair(store)
    assert status == 4
    found = look(store)
    assert found.live.keys() == built.contents.live.keys() - {b"hot-0.json"}
    made = [line for line in lines if "made again: live/lost+found/inode-" in line]
    assert len(made) == 1


def test_a_time_zone_is_inferred(tmp_path: Path):
    now = [NOON]

    def clock() -> int:
        now[0] += 3600 * 10**9
        return now[0]

    store = Store.open(
        os.fspath(tmp_path / "store"), create=True, time_zone="America/New_York", clock=clock
    )
    ino = store.create(ROOT, b"a", 0o100644, 1, 1).ino
    for number in range(60):
        store.write(ino, 0, b"%d" % number)
    store.close()
    (tmp_path / "store/djafs.json").unlink()
    status, lines = repair(tmp_path / "store")
    assert status == 1
    (said,) = (line for line in lines if "djafs.json: made again" in line)
    assert "time zone America/" in said and "fits all days" in said


@pytest.mark.parametrize(
    "arguments",
    [["--from", "/tmp"], ["-r", "--checksums"], ["-r", "--json"], ["-r", "--from", "/nowhere"]],
)
def test_wrong_usage(copy: Copy, arguments: list[str], capsys):
    assert main(["validate", "-p", os.fspath(copy()), *arguments]) == 16
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_no_store_stays_as_it_is(tmp_path: Path):
    (tmp_path / "note").write_text("mine")
    assert main(["validate", "-p", os.fspath(tmp_path), "-r"]) == 8
    assert os.listdir(tmp_path) == ["note"]


def test_a_store_in_use_by_another_process_is_left_alone(small: SmallStore, capsys):
    assert main(["validate", "-p", os.fspath(small.path), "-r"]) == 8
    assert "is in use" in capsys.readouterr().err
    small.close()


def test_a_link_in_the_place_of_what_is_kept_is_not_followed(copy: Copy, tmp_path: Path, capsys):
    store, outside = copy(), tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub/mine.tmp").write_text("mine")
    (store / "damaged").symlink_to(outside)
    (store / "archives/00000001.djfm").unlink()
    assert main(["validate", "-p", os.fspath(store), "-r"]) == 8
    assert "is a symbolic link" in capsys.readouterr().err
    assert (outside / "sub/mine.tmp").read_text() == "mine"
    assert os.listdir(outside) == ["sub"]


def test_without_hard_links_originals_are_copied(tmp_path: Path, monkeypatch):
    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(1, "no links here")

    (tmp_path / "a").write_bytes(b"original")
    monkeypatch.setattr(os, "link", refuse)
    Host().link(os.fspath(tmp_path / "a"), os.fspath(tmp_path / "b"), "repair.link")
    assert (tmp_path / "b").read_bytes() == b"original"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_by_hand_everything_but_the_lost_bytes_comes_back(small: SmallStore, tmp_path: Path):
    content = random.Random(2).randbytes(3 * CHUNK)
    small.file(b"a", content)
    small.file(b"b", b"whole" * 100)
    small.close()
    with open(small.layout.hot_segment(1), "r+b") as file:
        file.seek(CHUNK + 7)
        file.write(b"!!")
    assert repair(small.path)[0] == 4
    done = subprocess.run(
        [EXTRACT, small.path, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    assert "lost: 65536 bytes at 65536 of a" in done.stderr
    expected = content[:CHUNK] + bytes(CHUNK) + content[2 * CHUNK :]
    assert (tmp_path / "out/a").read_bytes() == expected
    assert (tmp_path / "out/b").read_bytes() == b"whole" * 100


def test_convert_writes_again_what_is_lost(small: SmallStore, tmp_path: Path, capsys):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"lost, and still here" * 100)
    small.close()
    arguments = ["convert", "-i", os.fspath(source), "-o", os.fspath(small.path), "--checksum"]
    assert main(arguments) == 0
    os.unlink(small.layout.archive(1))
    assert repair(small.path)[0] == 4
    capsys.readouterr()
    assert main(["export", os.fspath(small.path), os.fspath(tmp_path / "out")]) == 3
    assert "a: this content is lost" in capsys.readouterr().err
    assert main(arguments) == 0
    assert look(small.path).live == {b"a": b"lost, and still here" * 100}
