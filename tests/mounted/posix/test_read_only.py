"""Snapshots refuse with EROFS whatever would change something elsewhere, and refuse all of that."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.mount import Mount
from rig.operations import OPERATIONS, furnish
from rig.syscalls import KEEP_SIZE, PUNCH_HOLE, fallocate
from rig.trees import at as time_at
from rig.trees import tree
from rig.twins import Site, Twins, run_in

OLD = time_at(2023, 5, 1)

READING = {
    *("open", "open with O_NOFOLLOW", "open with O_DIRECTORY", "open with O_PATH", "stat"),
    *("lstat", "readlink", "list", "get xattr", "list xattrs"),
}

LATE = {"open for writing", "open with O_CREAT"}
"""What is let through for files that are there: the write is refused (docs/limits.md)."""

NAMES = (
    *("file", "dir", "empty", "to-file", "to-dir", "dangling", "loop", "socket", "missing"),
    *("file/", "dir/", "dir/inside", "dir/missing", "file/x", ".", "dir/."),
)


def make_all(at: Site) -> None:
    """Make what the operations work on, and what those that make something begin with."""
    furnish(at)
    at.make("dir/inside", b"inside")
    for name in ("empty", "source-dir"):
        at.mkdir(name, 0o755)
    at.make("source", b"source")
    at.mknod("socket", 0o140644)


def outcomes(directory: Path, prepare: Callable[[str], None]) -> dict[tuple[str, str], str]:
    """Return what each operation says of each name, after it was prepared for."""

    def scenario(at: Site) -> None:
        for operation, name in itertools.product(OPERATIONS, NAMES):
            prepare(operation)
            at.note(f"> {OPERATIONS[operation](at, name)!r:.60}")

    notes = [note for note in run_in(scenario, directory) if note.startswith("> ")]
    return dict(zip(itertools.product(OPERATIONS, NAMES), notes, strict=True))


@pytest.fixture
def past(shared_mount: Mount, twins: Twins) -> Path:
    """A directory of a day long ago, with some of everything."""
    run_in(make_all, twins.live)
    for path in [*twins.live.rglob("*"), twins.live]:
        os.utime(path, ns=(OLD, OLD), follow_symlinks=False)
    return shared_mount.snapshots / "2023/05/20" / twins.live.name


@pytest.mark.skipif(os.geteuid() != 0, reason="others may not do all of it")
def test_every_call_on_every_path(past: Path, twins: Twins):
    """What fails elsewhere may fail in the same way, or with EROFS."""
    numbers = itertools.count()

    def anew(operation: str) -> None:
        os.chdir(twins.plain)
        directory = "unchanged" if operation in READING else f"{next(numbers)}"
        made = os.path.isdir(directory)
        os.makedirs(directory, exist_ok=True)
        os.chdir(directory)
        if not made:
            make_all(Site([]))

    before = tree(past)
    here = outcomes(past, lambda operation: None)
    there = outcomes(twins.plain, anew)
    refused = 0
    for (operation, name), outcome in here.items():
        wanted = there[operation, name]
        if operation in READING or (operation in LATE and "EROFS" not in outcome):
            assert outcome == wanted, f"{operation} of {name}: {outcome}, elsewhere {wanted}"
        elif (operation, name) == ("exchange with", "file"):  # with itself: nothing happens
            assert outcome == wanted
        elif wanted == "> None":
            assert outcome == "> 'EROFS'", f"{operation} of {name}: {outcome}"
            refused += 1
        else:
            assert outcome in (wanted, "> 'EROFS'"), f"{operation} of {name}: {outcome}, {wanted}"
    assert refused > 100
    assert tree(past) == before


def test_every_call_on_an_open_file(past: Path):
    """Opening asks the daemon nothing; what is done then is refused."""
    descriptor = os.open(past / "file", os.O_RDWR)
    other = os.open(past / "dir/inside", os.O_RDWR)
    directory = os.open(past / "dir", os.O_RDONLY)
    attempts: list[Callable[[], object]] = [
        lambda: os.write(descriptor, b"x"),
        lambda: os.pwrite(descriptor, b"x", 3),
        lambda: os.writev(descriptor, [b"x", b"y"]),
        lambda: os.ftruncate(descriptor, 0),
        lambda: os.ftruncate(descriptor, 100),
        lambda: fallocate(descriptor, 0, 0, 100),
        lambda: fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, 0, 3),
        lambda: os.copy_file_range(other, descriptor, 3),
        lambda: os.sendfile(descriptor, other, 0, 3),
        lambda: os.fchmod(descriptor, 0o600),
        lambda: os.fchown(descriptor, 1, 1),
        lambda: os.utime(descriptor),
        lambda: os.setxattr(descriptor, "user.a", b"1"),
        lambda: os.removexattr(descriptor, "user.a"),
        lambda: os.fchmod(directory, 0o700),
        lambda: os.mkdir("new", dir_fd=directory),
        lambda: os.unlink("inside", dir_fd=directory),
        lambda: os.link("inside", "new", src_dir_fd=directory, dst_dir_fd=directory),
        lambda: os.rename("inside", "new", src_dir_fd=directory, dst_dir_fd=directory),
        lambda: os.open(".", os.O_TMPFILE | os.O_RDWR, dir_fd=directory),
    ]
    for number, attempt in enumerate(attempts):
        with pytest.raises(OSError) as caught:
            attempt()
        assert caught.value.errno == errno.EROFS, f"attempt {number}: {caught.value}"
    with mmap.mmap(descriptor, 7, access=mmap.ACCESS_COPY) as private:
        private[:] = b"private"
    assert os.pread(descriptor, 10, 0) == b"content"
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        os.chdir(past)
        try:
            client.connect("socket")
        finally:
            os.chdir("/")
    for each in (descriptor, other, directory):
        os.close(each)
