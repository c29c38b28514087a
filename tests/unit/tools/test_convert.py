"""Conversion without a mount: what goes wrong in a source, what is left out, what is refused."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from djafs.disk import lookup_log
from djafs.disk.host import Host
from djafs.store import syncer
from djafs.store.store import Store
from djafs.tools.convert import feed, intake, listing, reading, run
from djafs.tools.convert.excludes import Excludes
from djafs.tools.convert.feed import ProcessFeed
from djafs.tools.convert.listing import SortedNames, batches
from djafs.tools.convert.options import Options
from djafs.tools.convert.run import convert
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.wanted import Place, Wanted
from djafs.tools.export.run import export
from djafs.tools.export.view import NOW
from rig.command import djafs, djafs_ok
from rig.sources import make_source, write
from rig.trees import at, files, set_mtime, tree
from rig.unprivileged import as_nobody


def go_on(summary: Summary) -> bool:
    return False


def bring(source: Path, store: Path, **options: object) -> Summary:
    return convert(Options(os.fspath(source), os.fspath(store), **{"threads": 1, **options}), go_on)


def exported(store: Path, to: Path) -> Path:
    djafs_ok("export", store, to)
    return to


def documents(top: Path, number: int = 50) -> Path:
    for n in range(number):
        write(top / f"{n % 5}/{n:03}.json", b'{"number": %d}' % n, at(2024, 1, 1 + n % 28))
    return top


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return documents(tmp_path / "source")


# What goes wrong in the source


def test_a_file_that_vanishes_is_named_and_the_rest_brought(source, store, tmp_path, monkeypatch):
    opening = reading.open_file

    def open_file(name: bytes, directory: int | None = None) -> int:
        if name == b"007.json":
            os.unlink(source / "2/007.json")
        return opening(name, directory)

    monkeypatch.setattr(reading, "open_file", open_file)
    summary = bring(source, store)
    assert [tuple(p) for p in summary.problems] == [("2/007.json", "vanished while it was read")]
    assert files(exported(store, tmp_path / "copy")) == files(source)


@pytest.mark.parametrize(("times", "problems"), [(1, 0), (9, 1)])
def test_a_file_that_changes_while_it_is_read(
    times, problems, source, store, tmp_path, monkeypatch
):
    path = source / "3/008.json"
    original = os.read

    def read(descriptor: int, size: int) -> bytes:
        nonlocal times
        data = original(descriptor, size)
        if data == b'{"number": 8}' and times:
            times -= 1
            set_mtime(path, at(2025, 1, 1) + times)
        return data

    monkeypatch.setattr(os, "read", read)
    summary = bring(source, store)
    monkeypatch.undo()
    expected = [("3/008.json", "changed while it was read")] * problems
    assert [tuple(problem) for problem in summary.problems] == expected
    copy = files(exported(store, tmp_path / "copy"))
    assert len(copy) == 50 - problems
    assert copy.items() <= files(source).items()


def test_a_large_file_that_changes_is_never_brought_by_half(source, store, tmp_path, monkeypatch):
    large = write(source / "large", os.urandom(1 << 20) * 33, at(2024, 1, 1))
    original = os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = original(descriptor, size, offset)
        if size == 16 << 20 and offset:
            with open(large, "ab") as file:
                file.write(b"more")
        return data

    monkeypatch.setattr(os, "pread", pread)
    summary = bring(source, store)
    monkeypatch.undo()
    assert [tuple(p) for p in summary.problems] == [("large", "changed while it was read")]
    assert not (exported(store, tmp_path / "copy") / "large").exists()
    assert bring(source, store).new == 1
    assert files(exported(store, tmp_path / "again")) == files(source)


def test_what_may_not_be_read_is_named(source, store):
    os.chmod(source / "1/001.json", 0)
    os.chmod(source / "4", 0)
    os.chmod(source.parent, 0o755)
    for path in (source.parent.parent, source.parent.parent.parent):
        if path.stat().st_uid == os.geteuid() and path.name.startswith("pytest"):
            path.chmod(0o755)
    os.mkdir(store)
    if os.geteuid() == 0:
        os.chown(store, 65534, 65534)
    try:
        summary = as_nobody(lambda: bring(source, store))
    finally:
        os.chmod(source / "4", 0o755)
    assert sorted(tuple(problem) for problem in summary.problems) == [
        ("1/001.json", "cannot be read: Permission denied"),
        ("4", "cannot be read: Permission denied"),
    ]
    assert summary.new == 39


# A disk that is full


class FullHost(Host):
    """A disk that takes so many bytes of the steps called ``label``, and no more."""

    def __init__(self, label: str, room: int) -> None:
        self.label, self.room = label, room

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        if label.startswith(self.label):
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().pwrite(descriptor, data, offset, label)


@pytest.mark.parametrize(
    ("label", "room"), [("archive.", 100), ("archive.", 1000), ("djfm.", 500), ("lookup.", 9000)]
)
def test_a_full_disk_leaves_what_was_complete(label, room, source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MOST_CHANGES", 10)
    host, opening = FullHost(label, room), Store.open
    monkeypatch.setattr(
        run.Store, "open", lambda *given, **named: opening(*given, **named, host=host)
    )
    summary = bring(source, store)
    assert summary.full
    assert "the store cannot be written: No space left on device" in summary.problems[0].what
    monkeypatch.undo()
    assert "\n0 errors" in "\n" + djafs_ok("validate", "-p", store)
    half = files(exported(store, tmp_path / "half"))
    assert half.items() <= files(source).items()
    assert len(half) == summary.new < 50
    rest = bring(source, store)
    assert rest.new == 50 - len(half)
    assert files(exported(store, tmp_path / "whole")) == files(source)


def test_the_index_is_written_before_the_store_waits_for_it(source, store, monkeypatch):
    monkeypatch.setattr(syncer, "PATIENCE", 0.0)
    monkeypatch.setattr(syncer, "BATCH", 8)
    monkeypatch.setattr(syncer, "BACKLOG", 32)
    monkeypatch.setattr(intake, "INDEX_BATCH", 16)
    monkeypatch.setattr(intake, "PIECE", 2)
    monkeypatch.setattr(lookup_log, "SEGMENT", 2000)
    assert bring(source, store).problems == []


def test_a_packer_that_is_killed_leaves_what_was_complete(source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MOST_CHANGES", 10)
    monkeypatch.setattr(feed, "AHEAD", 1)
    asking, asked = ProcessFeed.ask, []

    def ask(self: ProcessFeed, place: Place, wanted: list[Wanted]) -> None:
        asked.append(place)
        if len(asked) == 4:
            self._process.kill()
            self._process.wait()
        asking(self, place, wanted)

    with monkeypatch.context() as patch:
        patch.setattr(ProcessFeed, "ask", ask)
        summary = bring(source, store, threads=2)
    assert [what.partition("; ")[0] for _, what in summary.problems] == [
        "the store cannot be written: the packer was killed by SIGKILL"
    ]
    assert summary.problems[0].what.endswith("run it again to go on")
    assert "\n0 errors" in "\n" + djafs_ok("validate", "-p", store)
    assert bring(source, store, threads=2).new == 50 - summary.new
    assert files(exported(store, tmp_path / "whole")) == files(source)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_files_of_several_names_are_read_once(threads, source, store, tmp_path):
    write(source / "large", os.urandom(1 << 20) * 33, at(2024, 1, 1))
    for number in range(3):
        os.link(source / "large", source / f"another {number}")
    summary = bring(source, store, threads=threads)
    # Its parts of 16 MiB: two that are alike, and the last.
    assert (summary.contents, summary.duplicates, summary.links) == (52, 1, 3)
    assert files(exported(store, tmp_path / "copy")) == files(source)


# Options


def test_patterns_are_left_out_and_never_deleted(source, store, tmp_path):
    write(source / "0/cache/x.json", b"", at(2024, 1, 1))
    write(source / "notes.tmp", b"", at(2024, 1, 1))
    bring(source, store)
    summary = bring(source, store, exclude=("*.tmp", "cache/", "/1", "2/007.json"), delete=True)
    assert summary.gone == 0
    os.unlink(source / "notes.tmp")
    os.unlink(source / "0/000.json")
    assert bring(source, store, exclude=("*.tmp",), delete=True).gone == 1
    assert (exported(store, tmp_path / "copy") / "notes.tmp").exists()
    other = tmp_path / "other"
    bring(source, other, exclude=("cache/", "/1", "2/007.json"))
    brought = files(exported(other, tmp_path / "other copy"))
    expected = {
        path
        for path in files(source)
        if not path.startswith(b"1/") and path != b"2/007.json" and b"cache" not in path
    }
    assert brought.keys() == expected


@pytest.mark.parametrize(
    ("pattern", "path", "is_directory", "excluded"),
    [
        ("*.tmp", "a/b/x.tmp", False, True),
        ("*.tmp", "x.tmp.json", False, False),
        ("/top", "top", False, True),
        ("/top", "a/top", False, False),
        ("b/c", "a/b/c", False, True),
        ("b/c", "ab/c", False, False),
        ("d/", "a/d", True, True),
        ("d/", "a/d", False, False),
        ("[a-c]?", "x/b1", False, True),
    ],
)
def test_patterns(pattern, path, is_directory, excluded):
    directory, slash, name = path.rpartition("/")
    given = ((directory + slash).encode(), name.encode())
    assert Excludes([pattern]).match(*given, is_directory=is_directory) is excluded


def test_a_prefix_keeps_trees_apart(source, store, tmp_path):
    other = documents(tmp_path / "other", 10)
    bring(source, store, prefix=b"a/b")
    bring(other, store, prefix=b"a/c", delete=True)
    copy = exported(store, tmp_path / "copy")
    assert files(copy / "a/b") == files(source)
    assert files(copy / "a/c") == files(other)
    assert tree(copy / "a/b") == tree(source)


def test_each_content_is_archived_once(source, store, tmp_path):
    for n in range(40):
        write(source / f"same/{n}", b"the same", at(2024, 2, 2))
    summary = bring(source, store)
    assert (summary.contents, summary.duplicates) == (51, 39)
    again = bring(documents(tmp_path / "more"), store, prefix=b"more")
    assert (again.contents, again.archives, again.duplicates) == (0, 0, 50)


def test_checksum_sees_what_size_and_time_do_not_tell(source, store):
    bring(source, store)
    write(source / "0/000.json", b'{"number": 9}', at(2024, 1, 1))
    assert bring(source, store).changed == 0
    assert bring(source, store, checksum=True).changed == 1
    assert bring(source, store, checksum=True).changed == 0


def names_by_file(top: Path) -> set[frozenset[str]]:
    """Which names are the same file."""
    found: dict[int, set[str]] = {}
    for path in top.iterdir():
        found.setdefault(path.stat().st_ino, set()).add(path.name)
    return {frozenset(names) for names in found.values()}


@pytest.mark.parametrize("seed", range(6))
def test_links_that_change_between_files_of_the_same_size_and_time(
    seed, source, store, tmp_path, monkeypatch
):
    """What has several names is told by its names, not by its size and time alone."""
    monkeypatch.setattr(intake, "MOST_CHANGES", 4)
    rng = random.Random(seed)
    top, names = tmp_path / "linked", [f"name-{n}" for n in range(7)]
    for step in range(3):
        if step:
            for name in rng.sample(names, rng.randrange(1, 5)):
                (top / name).unlink()
        for name in names:
            there = [path.name for path in top.iterdir()] if top.exists() else []
            if name not in there and there and rng.random() < 0.6:
                os.link(top / rng.choice(there), top / name)
            elif name not in there:
                # No two contents are of one file: they differ, sizes and times do not.
                content = b"%016x" % rng.randrange(1 << 60)
                write(top / name, content, at(2024, 1, 1))
        set_mtime(top, at(2024, 1, 1))
        bring(top, store, delete=True)
        copy = tmp_path / f"copy {step}"
        export(os.fspath(store), NOW, b"", os.fspath(copy), lambda summary: False)
        assert names_by_file(copy) == names_by_file(top)
        wrong = [n for n in names if (copy / n).read_bytes() != (top / n).read_bytes()]
        # A new file in the place of one of the same size and time alone is not seen (as by rsync).
        assert all((top / name).stat().st_nlink == 1 for name in wrong), wrong
    assert bring(top, store).changed == 0


def test_touching_alone_brings_no_content(source, store):
    bring(source, store)
    set_mtime(source / "0/000.json", at(2024, 5, 5))
    assert bring(source, store, checksum=True).changed == 0
    assert bring(source, store).unchanged == 50


# Refusals


def test_refusals(source, store, tmp_path):
    bring(source, store)
    before = files(store)
    for arguments, what in [
        (["-i", store, "-o", tmp_path / "x"], "is a djafs store already"),
        (["-i", source / "0/000.json", "-o", store], "is not a directory"),
        (["-i", tmp_path, "-o", store], "lie within one another"),
        (["-i", source, "-o", source / "store"], "lie within one another"),
        (["-i", source, "-o", store, "--prefix", "../x"], "must not contain .."),
        (["-i", source, "-o", store, "--legacy"], "no store of the original djafs"),
        (["-i", source, "-o", tmp_path / "x", "--legacy", "--checksum"], "does not go with"),
        (["-i", source, "-o", tmp_path / "x", "--legacy", "--time-zone=Asia/Tokyo"], "not go with"),
        (["-i", source, "-o", store, "--time-zone=Asia/Tokyo"], "counts its days in UTC"),
    ]:
        done = djafs("convert", *arguments)
        assert (done.returncode, what in done.stderr) == (16, True), done.stderr
    assert djafs("convert", "-i", source, "-o", source.parent / "source" / "0").returncode == 16
    assert files(store) == before


def test_a_dry_run_changes_nothing_and_says_what_would_be(tmp_path, store):
    source = make_source(tmp_path / "source")
    said = json.loads(djafs_ok("convert", "--dry-run", "--json", "-i", source, "-o", store))
    assert not store.exists()
    done = json.loads(djafs_ok("convert", "--json", "-i", source, "-o", store))
    for count in ("files", "new", "directories", "symlinks", "links", "special", "problem_count"):
        assert said[count] == done[count], count
    assert said["estimate"] == pytest.approx(done["bytes_out"] + done["log_bytes"], rel=5)


# Memory


def test_names_are_sorted_in_runs_on_disk():
    names = [b"%d\n" % (n * 7919 % 1000) for n in range(1000)]
    found = SortedNames(in_memory=64)
    for name in names:
        found.add(name)
    assert list(found) == sorted(names)


def test_a_directory_of_many_names_is_brought(tmp_path, store, monkeypatch):
    monkeypatch.setattr(listing, "IN_MEMORY", 16)
    monkeypatch.setattr(SortedNames.__init__, "__defaults__", (16,))
    source = documents(tmp_path / "source", 500)
    assert bring(source, store).new == 500
    assert files(exported(store, tmp_path / "copy")) == files(source)


def test_batches():
    assert list(batches([b"a", b"b", b"c"], 2)) == [[b"a", b"b"], [b"c"]]


# Checksums


def test_checksums_prove_a_migration(tmp_path, store):
    source = make_source(tmp_path / "source")
    djafs_ok("convert", "-i", source, "-o", store)
    done = djafs("validate", "-p", store, "--checksums")
    assert done.stderr == "0 errors\n"
    check = ["sha256sum", "--check", "--quiet"]
    lines = os.fsencode(done.stdout)
    subprocess.run(check, input=lines, cwd=source, check=True)
    assert len(lines.splitlines()) == len(
        [path for path in files(source) if not path.startswith(b"lost+found")]
    )
    past = djafs("validate", "-p", f"{store}@2020-02-02", "--checksums")
    assert past.stdout.endswith("  large.json\n")
