"""Who may do what: search and write permission, owners, groups, sticky directories."""

from __future__ import annotations

import os

import pytest

from rig.kinds import KINDS, MAKE
from rig.twins import Site, Twins

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB, STAFF = 65534, 65533, 65532


def furnish(at: Site, directory_mode: int = 0o755) -> None:
    """Make a directory of Alice's with what is in it, and one that all may write to."""
    at.mkdir("d", 0o755)
    at.mkdir("open", 0o777)
    for name in ("f", "g"):
        at.make(f"d/{name}", b"1", 0o644)
        at.chown(f"d/{name}", ALICE, ALICE)
    at.mkdir("d/sub", 0o755)
    at.chown("d/sub", ALICE, ALICE)
    at.symlink("f", "d/link")
    at.make("open/mine", b"", 0o666)
    at.chown("open/mine", BOB, BOB)
    at.mkdir("open/mine-dir", 0o777)
    at.chown("open/mine-dir", BOB, BOB)
    at.chown("d", ALICE, ALICE)
    at.chmod("d", directory_mode)


def attempt(at: Site) -> None:
    """Try everything in ``d``; each in turn, so that what succeeds is seen by what follows."""
    at.try_open("d/f", os.O_RDONLY)
    at.try_open("d/f", os.O_WRONLY)
    at.try_open("d/f", os.O_RDWR | os.O_TRUNC)
    at.try_open("d/new", os.O_CREAT | os.O_WRONLY)
    at.try_open("d", os.O_TMPFILE | os.O_RDWR)
    at.stat("d/f")
    at.lstat("d/link")
    at.readlink("d/link")
    at.call("list", lambda: sorted(os.listdir("d")))
    at.call("enter", lambda: os.close(os.open("d/sub", os.O_PATH)))
    at.truncate("d/f", 5)
    at.chmod("d/f", 0o600)
    at.chmod("d/f", 0o644)
    at.chown("d/f", -1, -1)
    at.chown("d/f", BOB, -1)
    at.chown("d/f", -1, BOB)
    at.chown("d/f", -1, STAFF)
    at.utime("d/f", (1, 1))
    at.utime("d/f")
    at.setxattr("d/f", "user.a", b"1")
    at.getxattr("d/f", "user.a")
    at.removexattr("d/f", "user.a")
    at.mkdir("d/newdir", 0o755)
    at.mkfifo("d/fifo", 0o644)
    at.symlink("x", "d/newlink")
    at.link("open/mine", "d/linked")
    at.rename("open/mine", "d/moved")
    at.rename("open/mine-dir", "d/moved-dir")
    at.rename("d/g", "open/taken")
    at.rename("d/f", "d/ff")
    at.renameat2("d/ff", "d/f", 2)
    at.rename("d/sub", "d/sub2")
    at.rename("d/sub", "open/sub")
    at.rmdir("d/sub")
    at.unlink("d/f")
    at.unlink("d/link")


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o711, 0o733, 0o766, 0o777, 0o555, 0o1777, 0o3777])
@pytest.mark.parametrize(
    "who", [(ALICE,), (BOB,), (BOB, ALICE), (BOB, BOB, ALICE), (0, 0)], ids=str
)
def test_a_directory_that_is_somebody_elses(twins: Twins, mode: int, who: tuple[int, ...]):
    def scenario(at: Site) -> None:
        furnish(at, mode)
        attempt(at.user(*who))

    notes = twins.both(scenario)
    if who == (BOB,) and mode == 0o700:
        assert sum("EACCES" in note for note in notes) > 30


@pytest.mark.parametrize("mode", [0o000, 0o004, 0o040, 0o060, 0o400, 0o200, 0o606, 0o066, 0o660])
@pytest.mark.parametrize("who", [(ALICE,), (BOB,), (BOB, ALICE), (BOB, BOB, ALICE)], ids=str)
def test_a_file_of_every_mode(twins: Twins, mode: int, who: tuple[int, ...]):
    def scenario(at: Site) -> None:
        at.make("f", b"content")
        at.chown("f", ALICE, ALICE)
        at.chmod("f", mode)
        user = at.user(*who)
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            user.try_open("f", flags)
        user.truncate("f", 3)
        user.try_open("f", os.O_WRONLY | os.O_TRUNC)
        user.utime("f")
        user.utimensat("f", (0, (1 << 30) - 1), (0, (1 << 30) - 2))
        user.utimensat("f", (0, (1 << 30) - 2), (0, (1 << 30) - 2))
        user.utimensat("f", (0, (1 << 30) - 1), (5, 5))
        user.utimensat("f", (5, 5), (0, (1 << 30) - 2))
        user.getxattr("f", "user.none")
        user.setxattr("f", "user.some", b"1")
        user.listxattr("f")
        for wanted in (os.R_OK, os.W_OK, os.X_OK, os.F_OK):
            user.access("f", wanted, effective_ids=True)
        user.call("exec-bit", lambda: os.access("f", os.X_OK, effective_ids=True))

    twins.both(scenario)


@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "fifo"])
@pytest.mark.parametrize("directory_owner", [0, ALICE, BOB])
@pytest.mark.parametrize("owner", [0, ALICE, BOB])
def test_sticky_directories(twins: Twins, kind: str, directory_owner: int, owner: int):
    """Only the owner of the thing or of the directory may take it away or replace it."""

    def scenario(at: Site) -> None:
        at.mkdir("s", 0o1777)
        at.chmod("s", 0o1777)
        at.chown("s", directory_owner, directory_owner)
        at.mkdir("free", 0o777)
        for name in ("s/a", "s/b", "s/c", "s/d"):
            MAKE[kind](at, name, 0o777)
            at.lchown(name, owner, owner)
        for name in ("free/x", "free/y"):
            MAKE[kind](at, name, 0o777)
            at.lchown(name, ALICE, ALICE)
        user = at.user(ALICE)
        outcomes = [
            user.rename("s/a", "s/renamed"),
            user.rename("s/b", "free/out"),
            user.rename("free/x", "s/c"),
            user.renameat2("free/y", "s/d", 2),
            (user.rmdir if kind == "directory" else user.unlink)("s/d"),
        ]
        allowed = ALICE in (directory_owner, owner)
        assert outcomes[:2] == ([None, None] if allowed else ["EPERM", "EPERM"])

    twins.both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_chown(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        MAKE[kind](at, "x", 0o644)
        assert at.lchown("x", ALICE, BOB) is None
        assert at.lchown("x", -1, ALICE) is None
        assert at.lchown("x", 123456, 4000000000) is None
        at.lstat("x")
        assert at.lchown("x", ALICE, ALICE) is None
        owner = at.user(ALICE, ALICE, STAFF)
        assert owner.lchown("x", ALICE, STAFF) is None
        assert owner.lchown("x", -1, ALICE) is None
        assert owner.lchown("x", -1, -1) is None
        assert owner.lchown("x", ALICE, -1) is None
        assert owner.lchown("x", BOB, -1) == "EPERM"
        assert owner.lchown("x", -1, BOB) == "EPERM"
        stranger = at.user(BOB, ALICE)
        assert stranger.lchown("x", -1, ALICE) == "EPERM"
        assert stranger.lchown("x", BOB, -1) == "EPERM"
        stranger.lchown("x", -1, -1)
        at.lstat("x")

    twins.both(scenario)


def test_who_may_make_devices(twins: Twins):
    def scenario(at: Site) -> None:
        user = at.user(ALICE)
        assert user.mknod("b", 0o060644, os.makedev(7, 0)) == "EPERM"
        assert user.mknod("c", 0o020644, os.makedev(1, 3)) == "EPERM"
        assert user.mknod("p", 0o010644) is None
        assert user.mknod("s", 0o140644) is None
        assert user.mknod("f", 0o100644) is None

    twins.both(scenario)


def test_linking_to_what_is_not_ones_own(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("secret", b"", 0o600)
        at.make("shared", b"", 0o666)
        at.mkdir("d", 0o777)
        user = at.user(ALICE)
        user.link("secret", "d/secret")
        user.link("shared", "d/shared")

    twins.both(scenario)


def test_a_directory_moves_only_with_permission_to_write_it(twins: Twins):
    """Its ``..`` changes."""

    def scenario(at: Site) -> None:
        for name in ("from", "to"):
            at.mkdir(name, 0o777)
        at.mkdir("from/d", 0o555)
        user = at.user(ALICE)
        assert user.rename("from/d", "from/e") is None
        assert user.rename("from/e", "to/e") == "EACCES"
        at.chmod("from/e", 0o777)
        assert user.rename("from/e", "to/e") is None

    twins.both(scenario)


def test_supplementary_groups_open_doors(twins: Twins):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o770)
        at.chown("d", 0, STAFF)
        at.make("d/f", b"x", 0o640)
        at.chown("d/f", 0, STAFF)
        assert at.user(ALICE).stat("d/f") == "EACCES"
        member = at.user(ALICE, ALICE, BOB, STAFF)
        assert member.content("d/f") == b"x"
        assert member.try_open("d/f", os.O_WRONLY) == "EACCES"
        assert member.make("d/own") is None

    twins.both(scenario)
