"""A tree with one of each kind of file, name and attribute, and how two trees differ."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from rig.trees import at, set_mtime

RSYNC = ["rsync", "-aHAXn", "--delete", "-i", "--exclude=/lost+found"]
NAMES = [b"caf\xe9 latin-1", b"a\nnewline", "測量 Ä".encode(), b"x" * 255, b"\\ \" ' *"]


def write(path: Path, content: bytes, mtime: int) -> Path:
    """Write a file, and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    set_mtime(path, mtime)
    return path


def make_source(top: Path) -> Path:
    """Make the tree, with more in it where we are root."""
    for day in (1, 2, 3):
        for hour in range(4):
            content = b'{"hour": %d}' % (hour % 2)
            write(top / f"station/2024-05-0{day}/{hour:02}.json", content, at(2024, 5, day, hour))
    _contents(top)
    for name in NAMES:
        path = os.fsdecode(os.path.join(os.fsencode(top), b"names", name))
        write(Path(path), name, at(2022, 3, 4))
    _links(top)
    _special(top)
    (top / "empty directory/below").mkdir(parents=True)
    write(top / "lost+found/#1234", b"left out", at(2022, 1, 1))
    _attributes(top)
    set_mtime(top / "empty directory/below", at(2018, 8, 8))
    for directory in ("station", "links", "modes", "names", ""):
        set_mtime(top / directory, at(2023, 1, 2))
    return top


def _contents(top: Path) -> None:
    write(top / "empty", b"", at(2021, 1, 1))
    write(top / "large.json", os.urandom(1 << 20) * 17 + b"end", at(2020, 2, 2))
    write(top / "medium.json", os.urandom(3 << 20), at(2020, 2, 3))
    with open(top / "sparse", "wb") as sparse:
        sparse.truncate(40 << 20)
        sparse.seek(20 << 20)
        sparse.write(b"an island")
    (top / "hole").touch()
    os.truncate(top / "hole", 1 << 20)


def _links(top: Path) -> None:
    for number in range(3):
        first = write(top / f"links/{number}-a", b"linked %d" % number, at(2022, 5, 6 + number))
        os.link(first, top / f"links/{number}-b")
        os.link(first, top / f"station/{number}-c")
    os.symlink("../nowhere", top / "symlink")
    os.symlink(b"\xff\xfe", os.fsencode(top) + b"/symlink to bytes")
    set_mtime(top / "symlink", at(2019, 1, 1))
    os.link(top / "symlink", top / "symlink again", follow_symlinks=False)


def _special(top: Path) -> None:
    os.mkfifo(top / "fifo", 0o640)
    previous = os.getcwd()
    os.chdir(top)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
    finally:
        os.chdir(previous)
    if os.geteuid() == 0:
        os.mknod(top / "device", 0o020600, os.makedev(1, 3))


def _attributes(top: Path) -> None:
    for name, mode in (("setuid", 0o4755), ("none", 0o000), ("sticky", 0o1777)):
        write(top / "modes" / name, name.encode(), at(2022, 1, 1)).chmod(mode)
    if os.geteuid() == 0:
        os.chown(top / "modes/none", 1234, 54321)
        os.lchown(top / "symlink", 99, 98)
        os.setxattr(top / "empty", "trusted.note", b"\0\xff")
    os.setxattr(top / "medium.json", "user.note", b"value")
    os.setxattr(top / "empty directory", "user.of-directory", b"1" * 300)
    (top / "modes").chmod(0o2770)


def differences(source: Path, copy: Path, *excludes: str) -> str:
    """Return what rsync would still do, and what diff says of the contents."""
    left_out = [f"--exclude=/{name}" for name in excludes]
    found = subprocess.run(
        [*RSYNC, *left_out, f"{source}/", f"{copy}/"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    names = ("lost+found", "fifo", "socket", "device", *excludes)
    diff = ["diff", "-r", "--no-dereference", *(f"--exclude={name}" for name in names)]
    return (
        found
        + subprocess.run(
            [*diff, source, copy], check=False, capture_output=True, text=True, timeout=60
        ).stdout
    )
