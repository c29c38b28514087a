"""Stores made by somebody else: refused by name; they do not escape, hang or eat memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from djafs.disk import records
from djafs.disk.layout import Layout
from djafs.disk.lookup_line import LINE, seal
from djafs.disk.seek_table import FOOTER_SIZE, SeekTableError, decode, tail_size
from djafs.errors import DjafsError, LookupLogDamageError, NotAStoreError
from djafs.store.identity import read_identity
from djafs.store.store import Store
from rig.amount import count
from rig.small_store import ROOT, SmallStore

TRIES = count(25, 2000)
fuzzed = settings(
    max_examples=TRIES, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)

pytestmark = [pytest.mark.leaves_damage, pytest.mark.timeout(count(120, 1800))]


@pytest.fixture
def small(tmp_path: Path) -> SmallStore:
    """A store that is closed, with a file and an archive."""
    small = SmallStore(tmp_path / "store")
    small.file(b"a", b"content")
    small.collect()
    small.file(b"b", b"hot")
    small.close()
    return small


def opened(path: Path) -> None:
    """Open a store, which works or is refused by name."""
    try:
        store = Store.open(os.fspath(path))
    except DjafsError:
        return
    store.close()


def forge(small: SmallStore, *forged: records.Record) -> None:
    """Append records to the log, as whole lines with right checksums; the index is gone."""
    path = small.layout.lookup_segment(1)
    with open(path, "rb") as file:
        last = file.read().splitlines()[-1]
    seq, chain = json.loads(last)["seq"], json.loads(last)["sum"]
    with open(path, "ab") as file:
        for record in forged:
            seq += 1
            record.seq = seq
            line, chain = seal(records.encode(record), chain)
            file.write(line)
    os.unlink(small.layout.index)


T = 10**18
NEW = 100


def directory(ino: int, parent: int, name: str) -> records.Create:
    return records.Create(0, T, parent, name, ino, 0o40755, 0, 0)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/etc", "\x0000", "\0002f", "x" * 256, "\0zz"])
def test_names_that_no_directory_holds(small: SmallStore, name: str):
    forge(small, directory(NEW, ROOT, name))
    with pytest.raises(LookupLogDamageError, match="does not fit"):
        Store.open(os.fspath(small.path))


@pytest.mark.parametrize(
    "forged",
    [
        [directory(NEW, ROOT, "d"), directory(NEW + 1, NEW, "e"),
         records.Rename(0, T, ROOT, "d", NEW + 1, "f")],
        [directory(NEW, ROOT, "d"), records.Rename(0, T, ROOT, "d", NEW, "f")],
        [directory(NEW, ROOT, "d"), records.Link(0, T, NEW, ROOT, "e")],
        [directory(NEW, 12345, "d")],
        [directory(3, ROOT, "d")],
        [directory(1 << 62, ROOT, "d")],
        [directory(NEW, ROOT, "a")],
        [records.Write(0, T, 3, 0, 1 << 50, 1, 0, [1])],
        [records.Write(0, T, 3, (1 << 63) - 2, 10, 1, 0, [1])],
        [records.Write(0, T, 3, 0, -5, 1, 0, [])],
        [records.Setattr(0, T, 3, size=1 << 63)],
        [records.Setattr(0, T, 3, mode=0o40755)],
        [records.Setattr(0, T, 3, mtime=1 << 80)],
        [records.Clone(0, T, 3, -1, 3, 0, 10)],
        [records.Unlink(0, T, ROOT, "not there")],
        [records.Content(0, T, 1, "zz", 1, 0, 10)],
        [records.Content(0, 1 << 63, 1, "00" * 32, 1, 0, 10)],
    ],
)  # fmt: skip
def test_records_that_nobody_logs(small: SmallStore, forged: list[records.Record]):
    mark = records.Sync(0, T, 1 << 40)  # or a write without content would only be cut off
    forge(small, *forged, mark)
    with pytest.raises(LookupLogDamageError):
        Store.open(os.fspath(small.path))


@fuzzed
@given(garbage=st.binary(max_size=3000), at=st.floats(0, 1), cut=st.booleans())
def test_garbage_in_the_log(
    small: SmallStore, tmp_path: Path, garbage: bytes, at: float, cut: bool
):
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(small.path, copy)
    path = Layout(os.fspath(copy)).lookup_segment(1)
    content = Path(path).read_bytes()
    begin = int(at * len(content))
    rest = b"" if cut else content[begin + len(garbage) :]
    Path(path).write_bytes(content[:begin] + garbage + rest)
    opened(copy)


RECORD = st.one_of(
    st.dictionaries(st.sampled_from(["op", "seq", "t", "ino", "dir", "name", "mode", "off", "len",
                                     "seg", "at", "crc", "to", "as", "upto", "cid", "sha256"]),
                    st.one_of(st.integers(), st.text(max_size=20), st.none(),
                              st.lists(st.integers(), max_size=3)), max_size=12),
)  # fmt: skip


@fuzzed
@given(forged=RECORD, op=st.sampled_from(["create", "write", "rename", "pack", "file", "sync"]))
def test_any_record_with_a_right_checksum(
    small: SmallStore, tmp_path: Path, forged: dict[str, object], op: str
):
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(small.path, copy)
    path = Path(Layout(os.fspath(copy)).lookup_segment(1))
    last = json.loads(path.read_bytes().splitlines()[-1])
    forged = {**forged, "op": op, "seq": last["seq"] + 1, "t": T}
    text = json.dumps(forged, separators=(",", ":")).encode("utf-8", "surrogatepass")
    with open(path, "ab") as file:
        file.write(seal(text, last["sum"])[0])
    opened(copy)


def test_a_line_without_end(small: SmallStore):
    with open(small.layout.lookup_segment(1), "ab") as file:
        file.truncate(20 * LINE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opened(small.path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_a_segment_that_inflates_without_end(small: SmallStore):
    plain = Path(small.layout.lookup_segment(1))
    lines, zeros = plain.read_bytes(), bytes(1 << 20)
    compressor = zstandard.ZstdCompressor().compressobj()
    pieces = [compressor.compress(lines), *(compressor.compress(zeros) for _ in range(1200))]
    Path(small.layout.closed_lookup_segment(1)).write_bytes(b"".join([*pieces, compressor.flush()]))
    plain.unlink()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LookupLogDamageError):
        Store.open(os.fspath(small.path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@fuzzed
@given(garbage=st.one_of(st.binary(max_size=2000), st.just(b"[" * 100_000), st.just(b"\xff")))
def test_garbage_for_an_identity(small: SmallStore, garbage: bytes):
    Path(small.layout.identity).write_bytes(garbage)
    with pytest.raises(NotAStoreError):
        read_identity(small.layout)


@fuzzed
@given(st.binary(max_size=600), st.integers(0, 1 << 64))
def test_garbage_for_a_seek_table(garbage: bytes, size: int):
    try:
        if tail_size(garbage[-FOOTER_SIZE:]) <= len(garbage):
            decode(garbage, size)
    except SeekTableError:
        pass


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file that is not the store's, and stays as it is."""
    path = tmp_path / "outside"
    path.write_bytes(b"not yours")
    yield path
    assert path.read_bytes() == b"not yours"


@pytest.mark.parametrize(
    "name",
    [
        "djafs.json", "lock", "lookups/00000001.djfl", "index.sqlite", "index.sqlite-wal",
        "hot/00000002.log", "archives/00000001.tar.zst", "reserve",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["symlink", "pipe"])
def test_files_that_lead_elsewhere(small: SmallStore, outside: Path, name: str, kind: str):
    path = small.path / name
    path.unlink(missing_ok=True)
    if kind == "symlink":
        path.symlink_to(outside)
    else:
        os.mkfifo(path)
    try:
        small.open()
    except (DjafsError, OSError):
        return
    for reading in (small.live, lambda: small.file(b"new", b"content"), small.collect):
        try:
            reading()
        except (DjafsError, OSError):
            continue
    small.close()


@pytest.mark.parametrize("name", ["hot", "lookups", "archives"])
def test_directories_that_lead_elsewhere(small: SmallStore, tmp_path: Path, name: str):
    elsewhere = tmp_path / "elsewhere"
    (small.path / name).rename(elsewhere)
    (small.path / name).symlink_to(elsewhere)
    with pytest.raises(NotAStoreError, match="not a directory"):
        small.open()


def test_a_store_without_its_log(small: SmallStore):
    shutil.rmtree(small.layout.lookups)
    with pytest.raises(LookupLogDamageError, match="no lookup log"):
        small.open()


def test_a_store_without_its_identity(small: SmallStore):
    os.unlink(small.layout.identity)
    os.unlink(small.layout.index)
    with pytest.raises(NotAStoreError):
        small.open()
    assert os.listdir(small.layout.archives)
