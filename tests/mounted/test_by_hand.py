"""The live documents come back without djafs: with bash, coreutils, zstd and jq, or with tar."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from djafs.disk.legacy_layout import target_of
from rig.command import djafs_ok
from rig.mount import Mount
from rig.sources import make_source, write
from rig.trees import at, set_mtime

EXTRACT = Path(__file__).parents[2] / "examples" / "extract-by-hand.sh"
PART = 16 << 20

pytestmark = pytest.mark.skipif(
    not all(shutil.which(program) for program in ("jq", "zstd", "tar")),
    reason="jq, zstd and tar are what is tested here",
)


def extract(store: Path, target: Path) -> None:
    """Run the script, with a PATH on which there is neither djafs nor Python."""
    needed = (
        "bash cat chmod chown dd find grep id jq ln ls mkdir mktemp printf rm sed sort tail touch"
    )
    tools = target.with_name("tools")
    tools.mkdir(exist_ok=True)
    for program in [*needed.split(), "truncate", "wc", "zstd"]:
        if not (tools / program).exists():
            found = shutil.which(program)
            assert found is not None, program
            (tools / program).symlink_to(found)
    done = subprocess.run(
        [EXTRACT, store, target],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def seen(root: Path) -> dict[bytes, tuple[object, ...]]:
    """What there is below ``root``: types, modes, owners, times to the nanosecond, content."""
    top = os.fsencode(root)
    status = os.stat(top)
    found: dict[bytes, tuple[object, ...]] = {b".": (status.st_mode, status.st_mtime_ns)}
    inodes: dict[int, bytes] = {}
    for directory, directories, files in os.walk(top):
        for name in sorted(directories + files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            relative = os.path.relpath(path, top)
            said: tuple[object, ...] = (status.st_mode, status.st_uid, status.st_gid)
            if os.path.islink(path):
                said = (os.readlink(path),)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    said = (*said, status.st_mtime_ns, status.st_nlink, file.read())
                said = (*said, inodes.setdefault(status.st_ino, min(_names(top, status.st_ino))))
            else:
                said = (*said, status.st_mtime_ns)
            found[relative] = said
    return found


def _names(top: bytes, ino: int) -> list[bytes]:
    return [
        os.path.relpath(os.path.join(directory, name), top)
        for directory, _, files in os.walk(top)
        for name in files
        if os.lstat(os.path.join(directory, name)).st_ino == ino
    ]


def delete_index(store: Path) -> None:
    for path in store.glob("index.sqlite*"):
        path.unlink()


def write_small(live: Path) -> None:
    """Documents that were written, changed, renamed, linked and removed, under odd names."""
    (live / "sensors" / "a").mkdir(parents=True)
    for number in range(40):
        (live / "sensors" / f"{number}.json").write_text(f'{{"value": {number}}}\n' * 50)
    (live / "sensors" / "1.json").write_text('{"value": "again"}\n')
    with open(live / "sensors" / "2.json", "a") as file:
        file.write("more\n")
    os.truncate(live / "sensors" / "3.json", 10)
    os.truncate(live / "sensors" / "4.json", 5000)
    os.rename(live / "sensors" / "5.json", live / "sensors" / "a" / "five.json")
    os.rename(live / "sensors" / "6.json", live / "sensors" / "7.json")
    os.link(live / "sensors" / "8.json", live / "eight.json")
    os.unlink(live / "sensors" / "9.json")
    os.rename(live / "sensors" / "a", live / "moved")
    os.symlink("sensors/1.json", live / "link")
    os.symlink("to \\ nowhere %41\n", live / "dangling\ttab")
    os.chmod(live / "sensors" / "10.json", 0o640)
    os.utime(live / "sensors" / "10.json", ns=(1, 1_000_000_000_123_456_789))
    os.utime(live / "sensors" / "11.json", ns=(1, -1_500_000_000))
    (live / "empty").mkdir()
    for name in (
        b"caf\xe9",
        b"\xff\x0041"[:1],
        b"new\nline",
        b" %41\\x41 'q' \"d\" $x",
        b"-n",
        b"*",
    ):
        with open(os.path.join(os.fsencode(live), name), "wb") as odd:
            odd.write(name * 10)


def write_large(live: Path) -> None:
    """A file of several parts, with a hole, overwritten across a border of parts."""
    with open(live / "large.bin", "wb") as file:
        file.write(os.urandom(PART + 1000))
        file.seek(2 * PART + 5)
        file.write(b"behind a hole")
        file.seek(PART - 7)
        file.write(b"across the border")


def change(live: Path) -> None:
    """What happens behind a packing: part of it stays in the hot log."""
    with open(live / "sensors" / "12.json", "r+b") as file:
        file.seek(100)
        file.write(b"into what is packed")
    with open(live / "large.bin", "r+b") as large:
        large.seek(PART + 10)
        large.write(b"one more")
    (live / "sensors" / "hot.json").write_text("not packed")
    os.rename(live / "moved", live / "sensors" / "moved")
    os.unlink(live / "sensors" / "13.json")


@pytest.mark.parametrize("packing", ["never", "before", "after", "twice"])
def test_every_live_document_comes_back(mount_store, store: Path, tmp_path: Path, packing: str):
    mount: Mount = mount_store("--gc-interval=3600")
    write_small(mount.live)
    write_large(mount.live)
    if packing in {"before", "twice"}:
        assert mount.gc()["files"] > 40
    change(mount.live)
    if packing in {"after", "twice"}:
        assert mount.gc()["files"] > 0
    expected = seen(mount.live)
    assert len(expected) > 50
    mount.unmount()
    delete_index(store)
    extract(store, tmp_path / "by-hand")
    assert seen(tmp_path / "by-hand") == expected


def test_a_checkpoint_and_what_is_behind_it(mount_store, store: Path, tmp_path: Path):
    pytest.importorskip("djafs.disk.checkpoint")
    from djafs.store.log_keeper import LogKeeper
    from djafs.store.store import Store

    mount: Mount = mount_store("--gc-interval=3600")
    write_small(mount.live)
    write_large(mount.live)
    mount.unmount()
    opened = Store.open(os.fspath(store))
    opened.syncer.flush()
    keeper = LogKeeper(opened)
    keeper.checkpoint()
    keeper.close()
    opened.close()
    assert len(list((store / "lookups").glob("*.djfc.zst"))) == 1
    mount.start()
    change(mount.live)
    expected = seen(mount.live)
    mount.unmount()
    delete_index(store)
    extract(store, tmp_path / "by-hand")
    assert seen(tmp_path / "by-hand") == expected


def test_a_line_that_a_crash_cut_off_is_left_out(mount_store, store: Path, tmp_path: Path):
    mount: Mount = mount_store("--gc-interval=3600")
    write_small(mount.live)
    expected = seen(mount.live)
    mount.kill9()
    segment = sorted((store / "lookups").glob("*.djfl"))[-1]
    whole = segment.read_bytes()
    segment.write_bytes(whole + b'{"op":"unlink","seq":99999,"t":1,"dir":2,"na')
    extract(store, tmp_path / "by-hand")
    segment.write_bytes(whole)
    assert seen(tmp_path / "by-hand") == expected
    mount.start()


def test_packed_documents_come_back_with_tar_alone(mount_store, store: Path, tmp_path: Path):
    mount: Mount = mount_store("--gc-interval=3600")
    sources = {f"d/{n}.json": f'{{"value": {n}}}\n' for n in range(50)}
    (mount.live / "d").mkdir()
    for name, text in sources.items():
        (mount.live / name).write_text(text)
    mount.gc()
    mount.unmount()
    delete_index(store)
    (tmp_path / "out").mkdir()
    for archive in sorted((store / "archives").glob("*.tar.zst")):
        subprocess.run(["tar", "-C", tmp_path / "out", "--zstd", "-xf", archive], check=True)
    found = {name: (tmp_path / "out" / name).read_text() for name in sources}
    assert found == sources


def test_a_converted_store_comes_back(store: Path, tmp_path: Path):
    """Records of their own: ``file``, ``create`` with times, ``link`` that was brought."""
    source = make_source(tmp_path / "source")
    for special in ("fifo", "socket", "device", "lost+found"):
        path = source / special
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    set_mtime(source, at(2023, 1, 2))
    djafs_ok("convert", "-i", source, "-o", store)
    delete_index(store)
    extract(store, tmp_path / "by-hand")
    assert seen(tmp_path / "by-hand") == seen(source)
    # Replaced, linked otherwise, removed: in a second run.
    write(source / "station/2024-05-03/03.json", b"later", at(2024, 6, 7))
    os.unlink(source / "links/1-a")
    os.link(source / "links/2-a", source / "links/1-a")
    os.unlink(source / "hole")
    shutil.rmtree(source / "empty directory")
    with open(source / "large.json", "ab") as large:
        large.write(b"appended")
    djafs_ok("convert", "--delete", "-i", source, "-o", store)
    delete_index(store)
    extract(store, tmp_path / "again")
    assert seen(tmp_path / "again") == seen(source)


def test_what_the_original_djafs_wrote_comes_back(store: Path, tmp_path: Path):
    """A name that was taken away, with effect from a day in the past."""
    digest = hashlib.sha256(b"{}").hexdigest()
    entries = [
        {"size": 2, "inode": 1, "modified": f"2024-0{month}-01T00:00:00Z", "name": name,
         "target": target}
        for month, name, target in (
            (1, "d/gone", target_of(digest)),
            (2, "d/kept", target_of(digest)),
            (3, "d/gone", ""),
        )
    ]  # fmt: skip
    old = tmp_path / "old"
    write(old / "work" / target_of(digest), b"{}", at(2024, 1, 1))
    (old / "lookups.djfl").write_text(json.dumps({"entries": entries, "sorted": True}))
    djafs_ok("convert", "-i", old, "-o", store)
    assert '"effective":' in (store / "lookups/00000001.djfl").read_text()
    djafs_ok("export", store, tmp_path / "exported")
    delete_index(store)
    extract(store, tmp_path / "by-hand")
    assert seen(tmp_path / "by-hand") == seen(tmp_path / "exported")
    assert os.listdir(tmp_path / "by-hand/d") == ["kept"]
