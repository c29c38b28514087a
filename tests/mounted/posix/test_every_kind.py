"""Every operation on every kind of file, by everybody: outcomes, and the times that move."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable

import pytest

from rig.kinds import KINDS, MAKE
from rig.syscalls import UTIME_NOW, UTIME_OMIT
from rig.twins import Outcome, Site, Twins
from rig.unprivileged import as_nobody

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB, STAFF = 65534, 65533, 65532

WHO = ((0, 0), (ALICE, ALICE), (ALICE, BOB, STAFF), (BOB, ALICE), (BOB, BOB, STAFF), (BOB, BOB))
"""User, group and further groups: root, the owner, members of the group, and a stranger."""

Action = Callable[[Site], Outcome]

NOW, OMIT = (0, UTIME_NOW), (0, UTIME_OMIT)

ATTRIBUTES: tuple[Action, ...] = (
    lambda at: at.lchown("d/x", ALICE, -1),
    lambda at: at.lchown("d/x", BOB, -1),
    lambda at: at.lchown("d/x", -1, STAFF),
    lambda at: at.lchown("d/x", -1, BOB),
    lambda at: at.lchown("d/x", ALICE, STAFF),
    lambda at: at.chmod("d/x", 0o640),
    lambda at: at.chmod("d/x", 0o7777),
    lambda at: at.utimensat("d/x", NOW, NOW, 0x100),
    lambda at: at.utimensat("d/x", NOW, OMIT, 0x100),
    lambda at: at.utimensat("d/x", OMIT, OMIT, 0x100),
    lambda at: at.utimensat("d/x", (7, 7), (8, 8), 0x100),
    lambda at: at.truncate("d/x", 3),
    lambda at: at.setxattr("d/x", "user.a", b"1", follow_symlinks=False),
    lambda at: at.setxattr("d/x", "trusted.a", b"1", follow_symlinks=False),
    lambda at: at.listxattr("d/x", follow_symlinks=False),
    lambda at: at.lstat("d/x"),
    lambda at: at.readlink("d/x"),
    lambda at: at.try_open("d/x", os.O_PATH | os.O_NOFOLLOW),
    lambda at: at.try_open("d/x", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    lambda at: at.try_open("d/x", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW),
)

NAMES: tuple[Action, ...] = (
    lambda at: at.link("d/x", "e/link", follow_symlinks=False),
    lambda at: at.link("d/x", "d/link", follow_symlinks=False),
    lambda at: at.rename("d/x", "d/y"),
    lambda at: at.rename("d/x", "e/y"),
    lambda at: at.renameat2("d/x", "d/other", 1),
    lambda at: at.renameat2("d/x", "e/other", 2),
    lambda at: at.unlink("d/x"),
    lambda at: at.rmdir("d/x"),
)


def restore(at: Site, kind: str, mode: int) -> None:
    """Make ``d/x`` of a kind, Alice's and of the group STAFF, in ``d``, and another in ``e``."""
    for directory in ("d", "e"):
        for name in ("x", "y", "link", "other"):
            path = f"{directory}/{name}"
            if os.path.isdir(path) and not os.path.islink(path):
                os.rmdir(path)
            elif os.path.lexists(path):
                os.unlink(path)
    MAKE[kind](at, "d/x", 0o644)
    os.lchown("d/x", ALICE, STAFF)
    if kind != "symlink":
        os.chmod("d/x", mode)
    for path in ("d/other", "e/other"):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


@pytest.mark.parametrize("kind", KINDS)
def test_attributes(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.mkdir("e", 0o755)
        for who, mode, action in itertools.product(WHO, (0o644, 0o6771), ATTRIBUTES):
            restore(at, kind, mode)
            act = functools.partial(action, at.user(*who))
            if who == WHO[1] and mode == 0o644:  # times do not depend on who moves them
                at.marks(act, "d/x", "d")
            else:
                act()
            at.lstat("d/x")

    twins.both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_chown_that_changes_nobody(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.mkdir("e", 0o755)
        for who, mode in itertools.product(WHO, (0o644, 0o4751, 0o2755, 0o6771)):
            if mode != 0o644 and who[0] == BOB:
                continue
            restore(at, kind, mode)
            act = functools.partial(at.user(*who).lchown, "d/x", -1, -1)
            if who in (WHO[1], WHO[-1]):
                assert at.marks(act, "d/x") == (None, ["c"])
            else:
                assert act() is None
            at.lstat("d/x")

    twins.both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_set_id_bits_are_safe_from_strangers(twins: Twins, kind: str):
    """ext4 answers their chown with EPERM; here it succeeds and does nothing (docs/limits.md)."""
    path = twins.live / "x"
    MAKE[kind](Site([]), os.fspath(path), 0o755)
    os.lchown(path, BOB, BOB)
    if kind != "symlink":
        path.chmod(0o6755)
    before = path.lstat()
    as_nobody(lambda: os.lchown(path, -1, -1))
    after = path.lstat()
    assert after.st_mode == before.st_mode
    assert after.st_ctime_ns == before.st_ctime_ns or kind in ("directory", "symlink")


@pytest.mark.parametrize("kind", KINDS)
def test_names(twins: Twins, kind: str):
    """In directories that belong to Alice, are open to all, or to all but sticky."""

    def scenario(at: Site) -> None:
        at.mkdir("d", 0o777)
        at.mkdir("e", 0o777)
        for who, mode, action in itertools.product(WHO, (0o755, 0o777, 0o1777), NAMES):
            restore(at, kind, 0o644)
            held = [os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in ("d/x", "e/other")]
            for directory in ("d", "e"):
                os.chown(directory, ALICE if mode == 0o755 else 0, -1)
                os.chmod(directory, mode)
            act = functools.partial(action, at.user(*who))
            if mode == 0o777 and who == WHO[1]:
                at.marks(act, *held, "d", "e")
            else:
                act()
            at.fstat(held[0])
            at.note(repr([sorted(os.listdir(directory)) for directory in ("d", "e")]))
            for descriptor in held:
                os.close(descriptor)

    twins.both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_replacing_in_sticky_directories(twins: Twins, kind: str):
    """Every kind by every kind, for every owner of what is replaced, of it, and of both places."""
    owners = (0, ALICE, BOB)

    def scenario(at: Site) -> None:
        at.mkdir("from", 0o777)
        at.mkdir("s", 0o777)
        user = at.user(ALICE)
        for other, place, target, source, sticky in itertools.product(
            KINDS, owners, owners, (ALICE, BOB), ("s", "from")
        ):
            if sticky == "from" and target != ALICE:
                continue
            os.chmod("from", 0o777)
            os.chmod("s", 0o777)
            os.chmod(sticky, 0o1777)
            os.chown(sticky, place, -1)
            for path, what, owner in (("from/x", kind, source), ("s/y", other, target)):
                MAKE[what](at, path, 0o777)
                os.lchown(path, owner, owner)
            outcome = user.rename("from/x", "s/y")
            at.note(repr([sorted(os.listdir(path)) for path in ("from", "s")]))
            if sticky == "s" and ALICE not in (place, target):
                assert outcome in ("EPERM", "EACCES")
            for path in ("from/x", "s/y"):
                if os.path.lexists(path):
                    (os.rmdir if os.path.isdir(path) else os.unlink)(path)

    twins.both(scenario)
