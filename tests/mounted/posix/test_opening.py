"""open(2): what each flag does; files that are unlinked, unnamed, or being executed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from rig.syscalls import AT_SYMLINK_FOLLOW
from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB, STAFF = 65534, 65533, 65532


def test_append(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"start,")
        appending = at.open("f", os.O_WRONLY | os.O_APPEND)
        writing = at.open("f", os.O_RDWR)
        at.write(appending, b"one,")
        at.lseek(appending, 0, os.SEEK_SET)
        at.write(appending, b"two,")
        at.pwrite(writing, b"S", 0)
        at.pwrite(appending, b"three,", 0)  # on Linux to the end, wherever it says
        at.write(appending, b"four")
        assert at.content("f") == b"Start,one,two,three,four"
        made = at.open("g", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND)
        other = at.open("g", os.O_WRONLY | os.O_APPEND)
        for number in range(6):
            at.write(other if number % 2 else made, b"%d" % number)
        assert at.content("g") == b"012345"

    twins.both(scenario)


def test_what_descriptors_refuse(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        at.mkdir("d", 0o755)
        reading = at.open("f", os.O_RDONLY)
        writing = at.open("f", os.O_WRONLY)
        path = at.open("f", os.O_PATH)
        directory = at.open("d", os.O_RDONLY)
        assert at.write(reading, b"x") == "EBADF"
        assert at.read(writing, 1) == "EBADF"
        assert at.read(path, 1) == "EBADF"
        assert at.fchmod(path, 0o600) == "EBADF"
        assert at.ftruncate(reading, 0) == "EINVAL"
        assert at.ftruncate(directory, 0) == "EINVAL"
        assert at.read(directory, 1) == "EISDIR"
        assert at.fallocate(reading, 0, 0, 1) == "EBADF"
        assert at.fallocate(directory, 0, 0, 1) in ("EISDIR", "EBADF", "ENODEV")
        assert at.lseek(reading, -1, os.SEEK_SET) == "EINVAL"
        assert at.pread(reading, 1, -1) == "EINVAL"
        assert at.pwrite(writing, b"1", -1) == "EINVAL"
        assert at.fsync(reading) is None
        assert at.fdatasync(writing) is None
        assert at.fsync(directory) is None

    twins.both(scenario)


def test_exclusive_nofollow_directory(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"1")
        at.mkdir("d", 0o755)
        at.symlink("f", "lf")
        at.symlink("d", "ld")
        at.symlink("new", "dangling")
        create, exclusive = os.O_CREAT | os.O_WRONLY, os.O_CREAT | os.O_EXCL | os.O_WRONLY
        for path in ("f", "d", "lf", "ld", "dangling"):
            assert at.try_open(path, exclusive) == "EEXIST"
        for path in ("lf", "ld", "dangling"):
            assert at.try_open(path, os.O_RDONLY | os.O_NOFOLLOW) == "ELOOP"
            assert at.try_open(path, create | os.O_NOFOLLOW) == "ELOOP"
            assert at.try_open(path, os.O_PATH | os.O_NOFOLLOW) is None
        for path in ("f", "lf"):
            assert at.try_open(path, os.O_RDONLY | os.O_DIRECTORY) == "ENOTDIR"
        assert at.try_open("ld", os.O_RDONLY | os.O_DIRECTORY) is None
        assert at.try_open("ld", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) == "ENOTDIR"
        for path in ("d", "ld"):
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, create):
                assert at.try_open(path, flags) == "EISDIR"
        assert at.try_open("dangling", create) is None
        at.lstat("new")
        at.try_open("f", os.O_CREAT | os.O_DIRECTORY | os.O_RDONLY)
        at.try_open("fresh", os.O_CREAT | os.O_DIRECTORY | os.O_RDONLY)

    twins.both(scenario)


def test_truncating_while_opening(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        held = at.open("f", os.O_RDONLY)
        assert at.try_open("f", os.O_WRONLY | os.O_TRUNC) is None
        assert at.pread(held, 10, 0) == b""
        at.make("g", b"content")
        assert at.try_open("g", os.O_RDWR | os.O_CREAT | os.O_TRUNC) is None
        at.stat("g")

    twins.both(scenario)


def test_an_unlinked_file_lives_while_it_is_open(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        descriptor = at.open("f", os.O_RDWR)
        assert at.unlink("f") is None
        assert os.fstat(descriptor).st_nlink == 0
        assert at.pread(descriptor, 10, 0) == b"content"
        at.pwrite(descriptor, b"more", 20)
        at.ftruncate(descriptor, 22)
        at.fchmod(descriptor, 0o600)
        at.setxattr(descriptor, "user.x", b"1")
        at.fstat(descriptor)
        assert at.pread(descriptor, 30, 0) == b"content" + bytes(13) + b"mo"
        at.make("f", b"another")
        assert at.pread(descriptor, 30, 0) == b"content" + bytes(13) + b"mo"
        # Without a name it cannot get one again.
        assert at.linkat(f"/proc/self/fd/{int(descriptor)}", "again") == "ENOENT"

    twins.both(scenario)


def test_a_file_that_a_rename_replaced_lives_while_it_is_open(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"old")
        at.make("g", b"new")
        old = at.open("f", os.O_RDWR)
        new = at.open("g", os.O_RDWR)
        at.rename("g", "f")
        at.fstat(old)
        at.fstat(new)
        at.write(old, b"OLD!")
        at.write(new, b"NEW!")
        assert at.pread(old, 9, 0) == b"OLD!"
        assert at.content("f") == b"NEW!"

    twins.both(scenario)


def test_unnamed_files(twins: Twins):
    """O_TMPFILE, and the name that linkat gives later."""

    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        descriptor = at.open("d", os.O_TMPFILE | os.O_RDWR, 0o640)
        at.fstat(descriptor)
        assert at.write(descriptor, b"unnamed") == 7
        assert at.call("list", lambda: os.listdir("d")) == []
        name = f"/proc/self/fd/{int(descriptor)}"
        _, moved = at.marks(lambda: at.linkat(name, "d/named", AT_SYMLINK_FOLLOW), "d", descriptor)
        assert moved == ["mc", "c"]
        assert at.content("d/named") == b"unnamed"
        at.fstat(descriptor)
        assert at.linkat(name, "second", AT_SYMLINK_FOLLOW) is None
        assert at.linkat(name, "second", AT_SYMLINK_FOLLOW) == "EEXIST"
        never = at.open("d", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
        never_name = f"/proc/self/fd/{int(never)}"
        assert at.linkat(never_name, "third", AT_SYMLINK_FOLLOW) == "ENOENT"
        assert at.rmdir("d") == "ENOTEMPTY"
        assert at.try_open("d", os.O_TMPFILE | os.O_RDONLY) == "EINVAL"
        assert at.try_open("second", os.O_TMPFILE | os.O_RDWR) == "ENOTDIR"

    twins.both(scenario)


@ROOT
def test_unnamed_files_of_a_setgid_directory(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o777)
        at.chown("d", BOB, STAFF)
        at.chmod("d", 0o2777)
        os.umask(0o027)
        descriptor = at.user(ALICE).open("d", os.O_TMPFILE | os.O_RDWR, 0o666)
        at.fstat(descriptor)

    twins.both(scenario)


def test_programs_being_executed_cannot_be_written(twins: Twins):
    def scenario(at: Site) -> None:
        at.call("copy", shutil.copy, shutil.which("sleep"), "sleeper")
        running = subprocess.Popen(["./sleeper", "60"])
        try:
            assert at.try_open("sleeper", os.O_WRONLY) == "ETXTBSY"
            assert at.try_open("sleeper", os.O_RDWR) == "ETXTBSY"
            assert at.try_open("sleeper", os.O_RDONLY | os.O_TRUNC) == "ETXTBSY"
            assert at.truncate("sleeper", 10) == "ETXTBSY"
            assert at.try_open("sleeper", os.O_RDONLY) is None
            assert at.chmod("sleeper", 0o700) is None
            assert at.rename("sleeper", "renamed") is None
            assert at.unlink("renamed") is None
        finally:
            running.kill()
            running.wait()
        at.call("copy", shutil.copy, shutil.which("true"), "program")
        writing = at.open("program", os.O_WRONLY)
        assert at.call("run", subprocess.call, ["./program"]) == "ETXTBSY"
        at.close(writing)
        assert at.call("run", subprocess.call, ["./program"]) == 0

    twins.both(scenario)


def test_direct_and_synchronous(twins: Twins):
    import mmap

    def scenario(at: Site) -> None:
        at.make("f", b"a" * 10_000)
        page = mmap.mmap(-1, 4096)
        page.write(b"D" * 4096)
        direct = at.open("f", os.O_RDWR | os.O_DIRECT)
        assert at.call("write", os.pwrite, direct, page, 4096) == 4096
        assert at.content("f") == b"a" * 4096 + b"D" * 4096 + b"a" * 1808
        assert at.call("read", os.preadv, direct, [page], 8192) == 1808
        for flags in (os.O_SYNC, os.O_DSYNC):
            synchronous = at.open("f", os.O_WRONLY | flags)
            assert at.write(synchronous, b"sync") == 4
        assert at.content("f")[:8] == b"syncaaaa"

    twins.both(scenario)
