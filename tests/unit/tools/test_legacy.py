"""Stores that the original djafs wrote: brought over, checked, refused, and written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from djafs.disk.legacy_layout import target_of
from djafs.tools.legacy.tables import TableEntry, TableError, read_table, text_of_time, time_of
from rig.command import djafs, djafs_ok
from rig.trees import FIXTURES, files, set_mtime

LEGACY = FIXTURES / "legacy"


def unpack(name: str, into: Path) -> Path:
    subprocess.run(["tar", "-xzf", LEGACY / f"{name}.tar.gz", "-C", into], check=True)
    return into / name


def live(store: Path, tmp_path: Path, name: str = "live") -> Path:
    djafs_ok("export", store, tmp_path / name)
    return tmp_path / name


def times(root: Path) -> dict[bytes, int]:
    return {
        path: os.lstat(os.path.join(os.fsencode(root), path)).st_mtime_ns for path in files(root)
    }


@pytest.mark.parametrize(
    ("name", "source", "kept", "problems"),
    [
        ("store-convert", "input", 3, 1),
        ("store-convert-legacy", "input", 3, 0),
        ("store-convert-legacy-s20", "input", 60, 0),
        ("store-convert-over5000", "input-over5000", 5013, 0),
    ],
)
def test_what_the_converter_wrote_comes_over(name, source, kept, problems, store, tmp_path):
    old = unpack(name, tmp_path)
    before = files(old)
    done = djafs("convert", "--json", "-i", old, "-o", store)
    assert done.returncode == (3 if problems else 0)
    said = json.loads(done.stdout)
    assert said["problem_count"] == problems
    assert files(old) == before
    found = files(live(store, tmp_path))
    named = {path: digest for path, digest in found.items() if not path.startswith(b"unnamed/")}
    original = unpack(source, tmp_path)
    whole = files(original)
    assert len(named) == kept
    assert named.items() <= whole.items()
    stamps = times(original)
    assert times(tmp_path / "live").items() >= {path: stamps[path] for path in named}.items()
    # What has lost its name has not lost its content.
    unnamed = {digest for path, digest in found.items() if path.startswith(b"unnamed/")}
    if name == "store-convert":
        assert unnamed == set(whole.values()) - set(named.values())
    else:
        assert not unnamed
    again = djafs("convert", "--json", "-i", old, "-o", store)
    assert json.loads(again.stdout)["new"] == json.loads(again.stdout)["changed"] == 0


def test_what_the_mount_wrote_comes_over_with_its_history(store, tmp_path):
    old = unpack("store-mounted", tmp_path)
    djafs_ok("convert", "-i", old, "-o", store)
    found = files(live(store, tmp_path))
    assert len(found) == 25
    whole = files(unpack("input", tmp_path))
    deeper = {path: digest for path, digest in found.items() if path.startswith(b"ucnrs/")}
    assert len(deeper) == 23
    assert deeper.items() <= whole.items()
    entries = json.loads((old / "lookups.djfl").read_text())["entries"]
    versions = [entry for entry in entries if entry["name"] == "stations.json"]
    latest = max(versions, key=lambda entry: entry["modified"])
    assert found[b"stations.json"] == latest["target"][-64:]
    assert times(tmp_path / "live")[b"stations.json"] == time_of(latest["modified"])


def move_to(old: Path, days: dict[str, list[str]]) -> None:
    """Give the versions of names other days, in their order; an empty target deletes."""
    table = old / "lookups.djfl"
    fields = json.loads(table.read_text())
    for name, moments in days.items():
        mine = [entry for entry in fields["entries"] if entry["name"] == name]
        for entry, moment in zip(mine, moments, strict=True):
            entry["modified"] = moment
    gone = {"name": "stations_copy.json", "target": "", "modified": "2020-03-09T00:00:00Z"}
    fields["entries"].append({**gone, "size": 0, "inode": 1})
    table.write_text(json.dumps(fields))


def test_versions_and_deletions_are_the_history_of_snapshots(store, tmp_path):
    old = unpack("store-mounted", tmp_path)
    days = ["2020-03-01T12:00:00Z", "2020-03-05T12:00:00.25+01:00"]
    move_to(old, {"stations.json": days, "stations_copy.json": days})
    djafs_ok("convert", "-i", old, "-o", store)

    def shown(day: int, name: str) -> int | None:
        out = tmp_path / f"{day}-{name}"
        djafs_ok("export", f"{store}@2020-03-{day:02}", out)
        return (out / name).stat().st_size if (out / name).exists() else None

    sizes = {day: shown(day, "stations.json") for day in (1, 4, 5)}
    assert sizes == {1: 41, 4: 41, 5: 55}
    copies = {day: shown(day, "stations_copy.json") for day in (8, 9)}
    assert copies == {8: 55, 9: None}
    assert "stations_copy.json" not in os.listdir(live(store, tmp_path))


def test_what_is_lost_is_listed_file_by_file(store, tmp_path):
    old = unpack("store-convert-legacy-s20", tmp_path)
    lost = min((old / "work").glob("*-*-*"), key=lambda path: path.name)
    lost.write_bytes(b"something else")
    table = old / "data/ucnrs/station_002/lookups.djfl"
    table.write_bytes(b"")
    done = djafs("convert", "-i", old, "-o", store)
    assert done.returncode == 3
    assert lost.name in done.stderr
    assert "ucnrs/station_002/lookups.djfl: the table is empty" in done.stderr
    checked = djafs("validate", "-p", old)
    assert checked.returncode == 4
    assert f"work/{lost.name}: its content is not what its name says" in checked.stdout


def test_zip_members_stand_in_for_lost_contents_and_tables(store, tmp_path):
    old = unpack("store-convert-over5000", tmp_path)
    shutil.rmtree(old / "work")
    table = old / "data/lookups.djfl"
    table.write_bytes(table.read_bytes()[:100_000])
    done = djafs("convert", "-i", old, "-o", store)
    assert "lookups.djfl: the table is cut off" in done.stderr
    found = files(live(store, tmp_path))
    assert found == files(unpack("input-over5000", tmp_path))


@pytest.mark.parametrize("name", ["store-convert", "store-mounted", "store-convert-legacy"])
def test_a_mount_refuses_it_with_the_command_to_type(name, tmp_path):
    old = unpack(name, tmp_path)
    before = files(old)
    (tmp_path / "mnt").mkdir()
    done = djafs("mount", old, tmp_path / "mnt")
    assert done.returncode == 8
    assert f"djafs convert -i {old} -o NEW_STORE" in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(old) == before


def test_what_is_written_for_old_tools_loses_nothing(store, tmp_path):
    source = unpack("input", tmp_path)
    set_mtime(source / next(iter(os.listdir(source))), 1_600_000_000_123_456_789)
    old = tmp_path / "old"
    djafs_ok("convert", "--legacy", "-i", source, "-o", old)
    assert djafs_ok("validate", "-p", old).endswith("\n0 errors\n")
    djafs_ok("convert", "-i", old, "-o", store)
    copy = live(store, tmp_path)
    assert files(copy) == files(source)
    assert times(copy) == times(source)
    for archive in (old / "data").rglob("files.djfz"):
        place = tmp_path / "unzipped" / archive.parent.relative_to(old / "data")
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["unzip", "-q", archive, "-d", place], check=True)
    assert files(tmp_path / "unzipped") == files(source)
    # As the original resolves names: by table and target.
    entries = json.loads((old / "data/lookups.djfl").read_text())["entries"]
    for entry in entries[:50]:
        content = (old / "work" / entry["target"]).read_bytes()
        assert entry["target"] == target_of(hashlib.sha256(content).hexdigest())
        assert len(content) == entry["size"]


def test_a_large_tree_is_written_in_several_zip_files(tmp_path, monkeypatch):
    from djafs.tools.convert.options import Options
    from djafs.tools.legacy import writer

    monkeypatch.setattr(writer, "MOST", 20)
    source = unpack("input", tmp_path)
    writer.write_legacy(Options(os.fspath(source), os.fspath(tmp_path / "old")), lambda _: False)
    archives = list((tmp_path / "old/data").rglob("files.djfz"))
    assert len(archives) > 3
    assert sum(len(zipfile.ZipFile(archive).namelist()) for archive in archives) == 60
    assert djafs("validate", "-p", tmp_path / "old").returncode == 0


def test_what_the_old_layout_cannot_hold_is_named(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "kept.json").write_bytes(b"{}")
    os.symlink("kept.json", source / "link")
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_bytes(b"{}")
    done = djafs("convert", "--legacy", "-i", source, "-o", tmp_path / "old")
    assert done.returncode == 3
    assert "link: the layout of the original holds files alone" in done.stderr
    assert "no names that are not UTF-8" in done.stderr


@pytest.mark.parametrize("option", ["--dry-run", "--delete", "--checksum", "--exclude=x"])
def test_it_is_brought_over_whole(option, store, tmp_path):
    old = unpack("store-mounted", tmp_path)
    done = djafs("convert", option, "-i", old, "-o", store)
    assert done.returncode == 16
    assert f"{option.partition('=')[0]} does not go with it" in done.stderr
    assert not store.exists()


ENTRY = {
    "name": "a",
    "target": "1-00000-" + "0" * 64,
    "size": 1,
    "modified": "2024-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("text", "good", "problem"),
    [
        ("", 0, "is empty"),
        ("{}", 0, "holds no entries"),
        ('{"entries":null,"sorted":false}', 0, None),
        ('{"entries":[],"sorted":true}', 0, None),
        (json.dumps({"entries": [ENTRY] * 3}), 3, None),
        (json.dumps({"entries": [ENTRY] * 3}) + '{"entries":[{"name":"old"', 3, None),
        (json.dumps({"entries": [ENTRY] * 3})[:-30], 2, "cut off at entry 3"),
        (json.dumps({"entries": [ENTRY] * 2})[:-2], 2, "cut off behind entry 2"),
        (json.dumps({"entries": [ENTRY] * 900}), 900, None),
        (json.dumps({"entries": [ENTRY, {"target": ""}, ENTRY]}), 2, "has no name"),
    ],
)
def test_tables_are_read_as_far_as_they_go(text, good, problem, tmp_path):
    (tmp_path / "table").write_text(text)
    found = list(read_table(os.fspath(tmp_path / "table")))
    assert sum(isinstance(item, TableEntry) for item in found) == good
    wrong = [str(item) for item in found if isinstance(item, TableError)]
    assert (problem is None and not wrong) or problem in wrong[0]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2023-12-31T23:59:59.5Z", 1704067199_500_000_000),
        ("2023-12-31T15:59:59.5-08:00", 1704067199_500_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("0001-01-01T00:00:00Z", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times(text, nanoseconds):
    assert time_of(text) == nanoseconds
    if text and text.endswith("Z") and nanoseconds is not None:
        assert text_of_time(nanoseconds) == text


def test_buckets_are_those_of_the_original(tmp_path):
    old = unpack("store-convert", tmp_path)
    targets = [path.name for path in (old / "work").glob("*-*-*")]
    assert len(targets) == 56
    assert targets == [target_of(target[-64:]) for target in targets]
