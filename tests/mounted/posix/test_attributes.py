"""chmod(2), chown(2), utimensat(2): modes, set-id bits, times."""

from __future__ import annotations

import os
import time

import pytest

from rig.kinds import MAKE
from rig.syscalls import UTIME_NOW, UTIME_OMIT
from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB, STAFF = 65534, 65533, 65532

SET_ID_MODES = (
    0o4777,
    0o2777,
    0o6777,
    0o6755,
    0o6555,
    0o6700,
    0o4711,
    0o2711,
    0o6644,
    0o2666,
    0o7777,
)


def test_chmod_to_every_mode(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        at.mkdir("d", 0o755)
        at.mkfifo("p", 0o644)
        at.symlink("f", "l")
        for mode in (*range(0, 0o10000, 0o111), 0o1777, 0o2755, 0o4755, 0o6644, 0o17777):
            for path in ("f", "d", "p", "l"):
                assert at.chmod(path, mode & 0o7777) is None
            at.note(repr([at.mode(path) for path in ("f", "d", "p", "l")]))

    twins.both(scenario)


def test_times_of_chmod_and_chown(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        at.mkdir("d", 0o755)
        at.symlink("f", "l")
        descriptor = at.open("f", os.O_RDONLY)
        for action in (
            lambda: at.chmod("f", 0o644),
            lambda: at.chmod("f", 0o600),
            lambda: at.fchmod(descriptor, 0o666),
            lambda: at.chown("f", -1, -1),
            lambda: at.chown("f", os.geteuid(), -1),
            lambda: at.chown("f", -1, os.getegid()),
            lambda: at.fchown(descriptor, -1, -1),
            lambda: at.chmod("d", 0o700),
            lambda: at.chown("d", -1, -1),
            lambda: at.lchown("l", -1, -1),
            lambda: at.chown("l", -1, -1),
            lambda: at.chmod("l", 0o640),
        ):
            at.marks(action, "f", "d", "l", ".")

    twins.both(scenario)


@ROOT
def test_who_may_set_which_mode_bits(twins: Twins):
    """set-group-ID only for members of the group; sticky for anybody."""

    def scenario(at: Site) -> None:
        for group in (ALICE, STAFF, BOB):
            for kind in ("f", "d"):
                path = f"{kind}{group}"
                at.mkdir(path, 0o755) if kind == "d" else at.make(path)
                at.chown(path, ALICE, group)
                owner = at.user(ALICE, ALICE, STAFF)
                for mode in (0o6755, 0o2755, 0o2644, 0o4755, 0o1755, 0o7777):
                    assert owner.chmod(path, mode) is None
                    at.mode(path)
                assert at.user(BOB).chmod(path, 0o777) == "EPERM"

    twins.both(scenario)


@ROOT
@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "socket", "block device"])
def test_chown_drops_set_id_bits(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        MAKE[kind](at, "x", 0o644)
        whose = [at, at.user(ALICE, ALICE, STAFF), at.user(ALICE, BOB, STAFF)]
        for mode in SET_ID_MODES:
            for group in (ALICE, STAFF, 0):
                for new in ((-1, -1), (ALICE, -1), (-1, STAFF), (ALICE, STAFF), (-1, group)):
                    for who in whose:
                        at.chown("x", ALICE, group)
                        at.chmod("x", mode)
                        who.chown("x", *new)
                        at.mode("x")

    twins.both(scenario)


@ROOT
@pytest.mark.parametrize("fresh", [True, False], ids=["just made", "opened again"])
def test_writing_and_truncating_drop_set_id_bits(twins: Twins, fresh: bool):
    def scenario(at: Site) -> None:
        def write(descriptor: int) -> None:
            os.write(descriptor, b"x")

        at.make("source", b"content")
        source = os.open("source", os.O_RDONLY)
        users = [at, at.user(ALICE), at.user(BOB), at.user(BOB, STAFF), at.user(BOB, 0, STAFF)]
        for number, mode in enumerate(SET_ID_MODES):
            name = f"{number}"
            for other, who in enumerate(users):
                descriptor = os.open(f"{name}-{other}", os.O_CREAT | os.O_RDWR, 0o666)
                at.fchown(descriptor, ALICE, STAFF)
                if not fresh:
                    os.close(descriptor)
                    descriptor = os.open(f"{name}-{other}", os.O_RDWR)
                for change in (
                    lambda w=who, d=descriptor: w.call("write", write, d),
                    lambda w=who, d=descriptor: w.ftruncate(d, 10),
                    lambda w=who, d=descriptor: w.ftruncate(d, 10),
                    lambda w=who, d=descriptor: w.fallocate(d, 0, 0, 100),
                    lambda w=who, d=descriptor: w.fallocate(d, 3, 0, 10),
                    lambda w=who, d=descriptor: w.copy_file_range(source, d, 3, 0, 0),
                    lambda w=who, p=f"{name}-{other}": w.truncate(p, 5),
                    lambda w=who, p=f"{name}-{other}": w.try_open(p, os.O_WRONLY | os.O_TRUNC),
                ):
                    at.fchmod(descriptor, mode)
                    change()
                    at.call("mode", lambda d=descriptor: oct(os.fstat(d).st_mode))
                os.close(descriptor)

    twins.both(scenario)


TIMES = (
    (0, 0),
    (1, 999_999_999),
    (-1, 0),
    (-1, 1),
    (-86400 * 365 * 60, 123_456_789),
    (2**31 - 1, 1),
    (2**31, 0),
    (2**32, 7),
    (2**32 + 1_234_567, 89),
    (9_000_000_000, 1),
)


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "symlink"])
def test_utimensat_keeps_nanoseconds_before_1970_and_after_2106(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        {
            "file": lambda: at.make("x", b"content"),
            "directory": lambda: at.mkdir("x", 0o755),
            "fifo": lambda: at.mkfifo("x", 0o644),
            "symlink": lambda: at.symlink("y", "x"),
        }[kind]()
        for atime in TIMES:
            for mtime in TIMES[::-1]:
                assert at.utimensat("x", atime, mtime, 0x100) is None
                shown = os.lstat("x")
                assert shown.st_atime_ns == atime[0] * 10**9 + atime[1]
                assert shown.st_mtime_ns == mtime[0] * 10**9 + mtime[1]

    twins.both(scenario)


def test_times_beyond_what_can_be_kept_are_the_last_that_can(twins: Twins):
    path = twins.live / "f"
    path.touch()
    for seconds in (2**34, 2**40, -(2**34), -(2**40), 2**62, -(2**62)):
        os.utime(path, (seconds, seconds))
        shown = os.stat(path).st_mtime_ns
        assert shown == (2**63 - 1 if seconds > 0 else 1 - 2**63)


def test_utime_now_and_omit(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"1")
        now, omit, old = (0, UTIME_NOW), (0, UTIME_OMIT), (1_000_000, 5)
        at.utimensat("f", old, old)
        for atime in (now, omit, (7, 7)):
            for mtime in (now, omit, (8, 8)):
                before = time.time_ns() - 20_000_000
                at.utimensat("f", old, old)
                assert at.utimensat("f", atime, mtime) is None
                shown = os.stat("f")
                for asked, got in ((atime, shown.st_atime_ns), (mtime, shown.st_mtime_ns)):
                    if asked == now:
                        assert before < got <= time.time_ns()
                    else:
                        wanted = old if asked == omit else asked
                        assert got == wanted[0] * 10**9 + wanted[1]
                assert shown.st_ctime_ns > before or (atime, mtime) == (omit, omit)
        assert at.marks(lambda: at.utimensat("f", omit, omit), "f")[1] == [""]
        assert at.utimensat("f", (1, 10**9), (1, 1)) == "EINVAL"
        assert at.utimensat("f", (1, -1), (1, 1)) == "EINVAL"
        assert at.utimensat("missing", omit, omit) in (None, "ENOENT")

    twins.both(scenario)


@ROOT
def test_who_may_set_times(twins: Twins):
    """The owner anything; who may write, the present time; others nothing."""

    def scenario(at: Site) -> None:
        now, omit, given = (0, UTIME_NOW), (0, UTIME_OMIT), (5, 5)
        for mode in (0o600, 0o622, 0o444, 0o646):
            for kind in ("f", "d"):
                path = f"{kind}{mode:o}"
                at.mkdir(path, 0o755) if kind == "d" else at.make(path)
                at.chown(path, ALICE, STAFF)
                at.chmod(path, mode)
                for who in ((ALICE, ALICE), (BOB, BOB), (BOB, BOB, STAFF), (0, 0)):
                    for atime in (now, omit, given):
                        for mtime in (now, omit, given):
                            at.user(*who).utimensat(path, atime, mtime)

    twins.both(scenario)


def test_times_of_reading_and_writing(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        at.make("g", b"other")
        at.symlink("f", "l")
        at.mkdir("d", 0o755)
        descriptor = at.open("f", os.O_RDWR)
        made = at.open("made", os.O_RDWR | os.O_CREAT)
        for action in (
            lambda: at.write(descriptor, b"x"),
            lambda: at.write(descriptor, b""),
            lambda: at.pwrite(descriptor, b"y", 100),
            lambda: at.pread(descriptor, 3, 0),
            lambda: at.ftruncate(descriptor, 50),
            lambda: at.ftruncate(descriptor, 50),
            lambda: at.ftruncate(descriptor, 500),
            lambda: at.truncate("f", 500),
            lambda: at.truncate("f", 0),
            lambda: at.try_open("f", os.O_RDONLY),
            lambda: at.try_open("f", os.O_WRONLY),
            lambda: at.try_open("f", os.O_WRONLY | os.O_TRUNC),
            lambda: at.try_open("f", os.O_WRONLY | os.O_CREAT),
            lambda: at.posix_fallocate(descriptor, 0, 10),
            lambda: at.posix_fallocate(descriptor, 0, 1000),
            lambda: at.fallocate(descriptor, 1, 0, 10_000),
            lambda: at.fallocate(descriptor, 3, 10, 10),
            lambda: at.fallocate(descriptor, 16, 10, 10),
            lambda: at.write(made, b"first"),
            lambda: at.write(made, b"second"),
            lambda: at.ftruncate(made, 3),
            lambda: at.readlink("l"),
            lambda: at.stat("f"),
            lambda: at.fsync(descriptor),
            lambda: at.setxattr("f", "user.a", b"1"),
            lambda: at.setxattr("f", "user.a", b"1"),
            lambda: at.getxattr("f", "user.a"),
            lambda: at.removexattr("f", "user.a"),
            lambda: at.removexattr("f", "user.a"),
            lambda: at.copy_file_range(made, descriptor, 3, 0, 0),
            lambda: at.call("list", lambda: os.listdir("d")),
        ):
            at.marks(action, "f", "made", "l", "d", ".")

    twins.both(scenario)


def test_what_fails_moves_no_time(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        at.mkdir("d", 0o755)
        at.make("d/inside")
        for action in (
            lambda: at.mkdir("d", 0o755),
            lambda: at.mkfifo("f", 0o644),
            lambda: at.symlink("x", "f"),
            lambda: at.link("f", "d"),
            lambda: at.link("d", "x"),
            lambda: at.rmdir("d"),
            lambda: at.rmdir("f"),
            lambda: at.unlink("d"),
            lambda: at.unlink("missing"),
            lambda: at.rename("f", "d"),
            lambda: at.rename("d", "f"),
            lambda: at.rename("missing", "x"),
            lambda: at.renameat2("f", "d/inside", 1),
            lambda: at.renameat2("f", "missing", 2),
            lambda: at.truncate("d", 0),
            lambda: at.truncate("f", -1),
            lambda: at.try_open("f", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
            lambda: at.try_open("f", os.O_DIRECTORY | os.O_RDONLY),
            lambda: at.try_open("d", os.O_WRONLY),
            lambda: at.setxattr("f", "user.x", b"1", os.XATTR_REPLACE),
        ):
            outcome, moved = at.marks(action, "f", "d", "d/inside", ".")
            assert isinstance(outcome, str)
            assert moved == ["", "", "", ""]

    twins.both(scenario)


def test_removing_marks_the_directory_and_what_other_links_show(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.make("d/f")
        at.link("d/f", "other")
        at.mkdir("d/sub", 0o755)
        held = at.open("d/sub", os.O_RDONLY)
        single = at.open("d/single", os.O_RDWR | os.O_CREAT)
        assert at.marks(lambda: at.unlink("d/f"), "d", "other", ".")[1] == ["mc", "c", ""]
        at.marks(lambda: at.unlink("d/single"), "d", single, ".")
        _, moved = at.marks(lambda: at.rmdir("d/sub"), "d", ".")
        assert moved == ["mc", ""]
        assert os.fstat(held).st_nlink == os.fstat(single).st_nlink == 0

    twins.both(scenario)
