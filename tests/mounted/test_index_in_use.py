"""djafs validate -r on a mount whose index is damaged: the daemon makes another one."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from conftest import MountStore, validate
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from rig.command import djafs
from rig.mount import Mount

FAULTY = [sys.executable, "-m", "djafs.testing.daemon"]
LATER = ("--gc-interval=86400", "--settle=0")
PAGE = 4096
HOT = "later/hot.json"


def repair(store: Path) -> tuple[int, str]:
    done = djafs("validate", "-p", store, "-v", "-r")
    return done.returncode, done.stdout + done.stderr


def spoil_pages(path: Path) -> None:
    """Flip a bit in every page of an index, in use or not."""
    content = bytearray(path.read_bytes())
    assert len(content) > 20 * PAGE
    for page in range(0, len(content), PAGE):
        content[page + 123] ^= 1
    path.write_bytes(content)


def fill(live: Path) -> dict[str, bytes]:
    """Write documents, and return what is where; some of them were something else before."""
    written = {}
    for directory in ("many", "few", "later"):
        (live / directory).mkdir()
    for number in range(800):
        written[f"many/{number}.json"] = b'{"n": %d}' % number
    for number in range(10):
        written[f"few/{number}.json"] = b'{"few": %d}' % number
    for path, content in written.items():
        (live / path).write_bytes(content)
    (live / "few/0.json").unlink()
    os.rename(live / "many/7.json", live / "few/0.json")
    written["few/0.json"] = written.pop("many/7.json")
    return written


def contents(live: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(live)): path.read_bytes() for path in live.rglob("*") if path.is_file()
    }


def inodes(live: Path) -> dict[str, int]:
    return {str(path.relative_to(live)): path.stat().st_ino for path in live.rglob("*")}


class Writer(threading.Thread):
    """Writes documents one after the other; one that is refused is tried again."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.directory, self.written = directory, dict[str, bytes]()
        self.progress, self.stopping = threading.Condition(), False

    def run(self) -> None:
        while not self.stopping:
            name, content = f"{len(self.written)}.json", os.urandom(500)
            try:
                (self.directory / name).write_bytes(content)
            except OSError as error:
                assert error.errno in (errno.EROFS, errno.EIO), error
                continue
            with self.progress:
                self.written[name] = content
                self.progress.notify_all()

    def wait_for_more(self, count: int) -> None:
        with self.progress:
            wanted = len(self.written) + count
            assert self.progress.wait_for(lambda: len(self.written) >= wanted, 20)


@contextmanager
def writing(directory: Path) -> Iterator[Writer]:
    writer = Writer(directory)
    writer.start()
    try:
        yield writer
    finally:
        writer.stopping = True
        writer.join()


def test_it_is_made_anew_while_programs_go_on(mounted: Mount, store: Path):
    live = mounted.live
    expected = fill(live)
    mounted.gc()
    (live / HOT).write_bytes(b"not packed")
    expected[HOT] = b"not packed"
    mounted.remount(*LATER)  # nothing is in memory
    numbers = inodes(live)
    (live / "gone.json").write_bytes(b"still open")
    open_still = os.open(live / "gone.json", os.O_RDONLY)
    (live / "gone.json").unlink()
    with (
        os.scandir(live / "many") as listing,
        closing(Index.open_read_only(Layout(os.fspath(store)))) as reader,
        writing(live / "later") as writer,
    ):
        seen = [next(listing).name for _ in range(3)]
        writer.wait_for_more(20)
        spoil_pages(store / "index.sqlite")
        status, said = repair(store)
        assert (status, said.splitlines()[-1]) == (1, "0 errors"), said
        assert "made anew from the log" in said
        writer.wait_for_more(20)
        seen += [entry.name for entry in listing]
        reader.close()  # the last one of the old index, which shares a name with the new one
        assert (store / "index.sqlite-wal").exists()
        writer.wait_for_more(20)
    expected |= {f"later/{name}": content for name, content in writer.written.items()}
    assert sorted(seen) == sorted(os.listdir(live / "many"))
    assert os.read(open_still, 100) == b"still open"
    os.close(open_still)
    assert contents(live) == expected
    assert {path: ino for path, ino in inodes(live).items() if path in numbers} == numbers
    validate(store)
    # Under the one name, or under the other if the daemon had met the damage before.
    assert list((store / "damaged").glob("*/index*.sqlite"))
    assert not list(store.glob("index.new.*"))
    mounted.remount()
    assert "rebuilt" not in mounted.messages().rpartition("serving")[2]
    assert contents(mounted.live) == expected


def test_changes_are_taken_again(mounted: Mount, store: Path):
    expected = fill(mounted.live)
    mounted.remount(*LATER)
    with open(mounted.live / "few/1.json", "wb", buffering=0) as document:
        spoil_pages(store / "index.sqlite")
        with pytest.raises(OSError) as failed:
            os.listdir(mounted.live / "many")
        assert failed.value.errno == errno.EIO
        with pytest.raises(OSError) as refused:
            document.write(b"refused")
        assert refused.value.errno == errno.EROFS
        expected["few/1.json"] = b""
    status, said = repair(store)
    assert (status, said.splitlines()[-1]) == (1, "0 errors"), said
    (mounted.live / "new.json").write_bytes(b"new")
    assert contents(mounted.live) == {**expected, "new.json": b"new"}
    mounted.remount()
    assert contents(mounted.live) == {**expected, "new.json": b"new"}


@pytest.mark.parametrize("label", ["index.sync", "repair.rename"])
def test_the_daemon_is_killed_over_it(mount_store: MountStore, store: Path, label: str):
    mounted = mount_store(*LATER)
    expected = fill(mounted.live)
    mounted.unmount()
    mounted.program = FAULTY
    mounted.environment = {"DJAFS_TEST_FAULTS": f"{label}:kill"}
    mounted.start()
    (mounted.live / HOT).write_bytes(b"not packed")
    spoil_pages(store / "index.sqlite")
    status, said = repair(store)
    assert status == 8, said
    mounted.kill9()
    mounted.environment = {}
    mounted.start()
    assert contents(mounted.live) == {**expected, HOT: b"not packed"}
    assert not list(store.glob("index.new.*"))
