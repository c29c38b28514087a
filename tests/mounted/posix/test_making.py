"""What a new file, directory, FIFO, socket, device or link is like."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from rig.kinds import MAKE
from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB, STAFF = 65534, 65533, 65532

each_kind = pytest.mark.parametrize("kind", MAKE)


@each_kind
@ROOT
def test_modes_and_umask(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        number = 0
        for mask in (0o000, 0o022, 0o077, 0o777, 0o351):
            os.umask(mask)
            for mode in (0o755, 0o151, 0o345, 0o777, 0o000, 0o4755, 0o2755, 0o1777, 0o7777):
                number += 1
                at.note(oct(mask) + oct(mode))
                assert MAKE[kind](at, f"{number}", mode) is None
                at.lstat(f"{number}")
        os.umask(0)

    twins.both(scenario)


@each_kind
@ROOT
@pytest.mark.parametrize("setgid", [0, stat.S_ISGID])
def test_owners_and_groups(twins: Twins, kind: str, setgid: int):
    """Of whoever makes it, or of the directory's group where that is set-group-ID."""

    def scenario(at: Site) -> None:
        at.mkdir("d", 0o777)
        at.chown("d", BOB, STAFF)
        at.chmod("d", 0o777 | setgid)
        number = 0
        for who in ((ALICE, ALICE), (ALICE, STAFF), (ALICE, BOB, STAFF), (0, 0)):
            for mode in (0o755, 0o2755, 0o2745, 0o6755):
                number += 1
                if not kind.endswith("device") or who[0] == 0:
                    assert MAKE[kind](at.user(*who), f"d/{number}", mode) is None
                    at.lstat(f"d/{number}")

    twins.both(scenario)


@each_kind
def test_times_of_what_is_made_and_of_its_directory(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.mkdir("d/taken", 0o755)
        at.make("d/other")
        _, moved = at.marks(lambda: MAKE[kind](at, "d/new", 0o644), "d", "d/other", ".")
        assert moved == ["mc", "", ""] or os.geteuid()
        made = os.lstat("d/new")
        directory = os.lstat("d")
        assert made.st_mtime_ns == made.st_ctime_ns == made.st_atime_ns
        # A tick apart where the filesystem takes the time twice.
        assert abs(made.st_ctime_ns - directory.st_mtime_ns) < 50_000_000
        if kind != "file":
            taken, moved = at.marks(lambda: MAKE[kind](at, "d/taken", 0o644), "d", "d/taken")
            assert (taken, moved) == ("EEXIST", ["", ""])

    twins.both(scenario)


@ROOT
def test_device_numbers(twins: Twins):
    def scenario(at: Site) -> None:
        numbers = [(0, 0), (1, 3), (255, 255), (256, 256), (4095, 1048575), (259, 65536)]
        for kind in (stat.S_IFCHR, stat.S_IFBLK):
            for major, minor in numbers:
                path = f"{oct(kind)}-{major}-{minor}"
                assert at.mknod(path, kind | 0o600, os.makedev(major, minor)) is None
                assert os.stat(path).st_rdev == os.makedev(major, minor)
                at.stat(path)

    twins.both(scenario)


def test_mknod_refuses_other_types(twins: Twins):
    def scenario(at: Site) -> None:
        for kind in (stat.S_IFDIR, stat.S_IFLNK, 0o170000, 0o030000):
            at.mknod("x", kind | 0o644)
        assert at.mknod("y", 0o644) is None  # no type: a regular file
        at.lstat("y")

    twins.both(scenario)


def test_targets_of_symbolic_links(twins: Twins):
    def scenario(at: Site) -> None:
        for number, length in enumerate((1, 59, 60, 61, 255, 1023, 4095)):
            target = "t" * length
            assert at.symlink(target, f"{number}") is None
            assert at.readlink(f"{number}") == target
            at.lstat(f"{number}")
        assert at.symlink("t" * 4096, "long") == "ENAMETOOLONG"
        assert at.symlink("", "empty") == "ENOENT"
        assert at.symlink("\udcff\n //..//", "strange") is None
        assert at.readlink("strange") == "\udcff\n //..//"
        at.make("file")
        assert at.readlink("file") == "EINVAL"
        assert at.readlink(".") == "EINVAL"

    twins.both(scenario)


def test_fifos_carry_what_is_written(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkfifo("p", 0o644)
        assert at.try_open("p", os.O_WRONLY | os.O_NONBLOCK) == "ENXIO"
        reading = at.open("p", os.O_RDONLY | os.O_NONBLOCK)
        writing = at.open("p", os.O_WRONLY)
        at.write(writing, b"through")
        assert at.read(reading, 100) == b"through"
        assert at.lseek(writing, 0, os.SEEK_SET) == "ESPIPE"
        assert at.ftruncate(writing, 0) == "EINVAL"
        assert at.truncate("p", 0) == "EINVAL"
        at.fallocate(writing, 0, 0, 1)

    twins.both(scenario)


def test_sockets_connect(twins: Twins):
    def scenario(at: Site) -> None:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            at.call("bind", server.bind, "s")
            server.listen()
            at.call("connect", client.connect, "s")
            client.send(b"x")
            at.call("recv", lambda: server.accept()[0].recv(1))
        at.lstat("s")
        assert at.try_open("s", os.O_RDONLY) == "ENXIO"
        assert at.call("bind again", socket.socket(socket.AF_UNIX).bind, "s") == "EADDRINUSE"

    twins.both(scenario)


def test_a_removed_directory_takes_nothing_in(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.make("f")
        directory = at.open("d", os.O_RDONLY | os.O_DIRECTORY)
        at.rmdir("d")
        for kind, make in MAKE.items():
            if os.geteuid() == 0 or "device" not in kind:
                os.fchdir(directory)
                assert make(at, "new", 0o644) == "ENOENT"
        assert at.link("../f", "new") == "ENOENT"
        assert at.rename("../f", "new") == "ENOENT"
        assert at.call("list", lambda: os.listdir(directory)) in ("ENOENT", [])
        assert os.fstat(directory).st_nlink == 0

    twins.both(scenario)


def test_more_directories_in_one_than_ext4_counts_links(twins: Twins):
    """ext4 shows 1 link from 65,000 on; here the count goes on, and making goes on in both."""
    os.mkdir(twins.live / "many")
    for number in range(300):
        os.mkdir(twins.live / "many" / f"{number}")
    assert os.stat(twins.live / "many").st_nlink == 302
