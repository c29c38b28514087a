"""djafs count against find, on every tree that either might stumble over."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from djafs.tools import count as count_module
from djafs.tools.count import count_files
from rig.unprivileged import as_nobody


def find(path: str | Path) -> int:
    """What ``find PATH -type f | wc -l`` counts, whatever bytes names hold."""
    found = subprocess.run(
        ["find", os.fspath(path), "-type", "f", "-print0"], capture_output=True, check=False
    )
    return found.stdout.count(b"\0")


def count(path: str | Path) -> int:
    """Count without anything to complain about."""
    complaints: list[tuple[str, OSError]] = []
    files = count_files(os.fspath(path), lambda place, error: complaints.append((place, error)))
    assert complaints == []
    return files


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def plain(top: Path) -> None:
    for name in ("a.json", "b/c.json", "b/d/e.json", "b/d/f.json", ".hidden/g.json"):
        touch(top / name)


def empty(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)


def symbolic_links(top: Path) -> None:
    touch(top / "real" / "file")
    (top / "loop").symlink_to(".")
    (top / "real" / "up").symlink_to("..")
    (top / "to-file").symlink_to("real/file")
    (top / "to-directory").symlink_to("real")
    (top / "dangling").symlink_to("nowhere")
    (top / "itself").symlink_to("itself")


def hard_links(top: Path) -> None:
    touch(top / "one")
    os.link(top / "one", top / "two")
    (top / "d").mkdir()
    os.link(top / "one", top / "d" / "three")


def special_files(top: Path) -> None:
    touch(top / "file")
    os.mkfifo(top / "fifo")
    # A socket's address is short, the path of a test's directory is not.
    descriptor = os.open(top, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{descriptor}/socket")
    os.close(descriptor)


def odd_names(top: Path) -> None:
    for name in (b"new\nline", b"\xff\xfe", b"\x01", b" ", b"-type", b"\xc3\xa4", b"x" * 255):
        directory = os.path.join(os.fsencode(top), name)
        os.mkdir(directory)
        os.close(os.open(os.path.join(directory, name), os.O_CREAT))


def deeper_than_a_path(top: Path) -> None:
    """300 levels of 60 bytes: no single path leads to the bottom."""
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(300):
        os.close(os.open("file", os.O_CREAT, dir_fd=descriptor))
        os.mkdir("d" * 60, dir_fd=descriptor)
        below = os.open("d" * 60, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def many_in_one(top: Path) -> None:
    for number in range(2 * count_module._BATCH + 1):
        os.close(os.open(top / f"{number}.json", os.O_CREAT))


TREES = [
    plain,
    empty,
    symbolic_links,
    hard_links,
    special_files,
    odd_names,
    deeper_than_a_path,
    many_in_one,
]


@pytest.fixture(params=TREES, ids=lambda tree: tree.__name__)
def tree(request: pytest.FixtureRequest, tmp_path: Path):
    top = tmp_path / "tree"
    top.mkdir()
    make: Callable[[Path], None] = request.param
    make(top)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)  # rm also removes what is too deep for Python


def test_counts_what_find_counts(tree: Path):
    assert count(tree) == find(tree)


def test_counts_what_find_counts_with_several_threads(tree: Path, monkeypatch):
    monkeypatch.setattr(count_module, "_TRIAL_SECONDS", -1.0)
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)  # as if it had only waited
    assert count(tree) == find(tree)


def test_a_file_counts_one(tmp_path: Path):
    touch(tmp_path / "file")
    assert count(tmp_path / "file") == find(tmp_path / "file") == 1


def test_a_link_as_path_is_not_followed(tmp_path: Path):
    plain(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert count(tmp_path / "link") == find(tmp_path / "link") == 0
    assert count(f"{tmp_path}/link/") == find(f"{tmp_path}/link/") == 5


def test_a_fifo_as_path_counts_nothing(tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")
    assert count(tmp_path / "fifo") == 0


def test_what_cannot_be_read_is_named_and_the_rest_counted(tmp_path: Path):
    plain(tmp_path)
    for name in ("closed", "b/closed"):
        touch(tmp_path / name / "file")
        (tmp_path / name).chmod(0)
    for above in (tmp_path, *tmp_path.parents[:2]):
        above.chmod(above.stat().st_mode | 0o055)

    def count_complaining() -> tuple[int, list[tuple[str, str]]]:
        complaints: list[tuple[str, str]] = []
        files = count_files(
            str(tmp_path), lambda place, error: complaints.append((place, error.strerror))
        )
        return files, sorted(complaints)

    files, complaints = as_nobody(count_complaining)
    assert files == 5
    assert complaints == [
        (str(tmp_path / "b" / "closed"), "Permission denied"),
        (str(tmp_path / "closed"), "Permission denied"),
    ]
    for name in ("closed", "b/closed"):
        (tmp_path / name).chmod(0o700)


def test_a_missing_path_is_named(tmp_path: Path):
    complaints: list[str] = []
    assert count_files(str(tmp_path / "no"), lambda place, _: complaints.append(place)) == 0
    assert complaints == [str(tmp_path / "no")]


def test_ticks_never_go_back_and_end_with_the_count(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(count_module, "_BATCH", 3)
    plain(tmp_path)
    for number in range(10):
        touch(tmp_path / "many" / str(number))
    ticks: list[int] = []
    files = count_files(str(tmp_path), lambda place, error: None, ticks.append)
    assert ticks == sorted(ticks)
    assert ticks[-1] == files == 15


def test_other_filesystems_below_are_entered(tmp_path: Path):
    """As find does without -xdev: /dev has /dev/shm and /dev/pts below it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a filesystem to look into")
    below = tmp_path / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", below], check=True)
    try:
        touch(below / "file")
        assert count(tmp_path) == find(tmp_path) == 1
    finally:
        subprocess.run(["umount", below], check=True)
    shutil.rmtree(below)
