"""link(2) and rename(2): counts, times, what is replaced, what is refused."""

from __future__ import annotations

import errno
import functools
import os
import stat

import pytest

from rig.mount import Mount
from rig.twins import Site, Twins

KINDS = ("file", "directory", "full directory", "symlink", "fifo", "device", "missing")


def make(at: Site, kind: str, path: str) -> None:
    """Make a thing of a kind."""
    if kind == "file":
        at.make(path, os.fsencode(path))
    elif kind == "symlink":
        at.symlink("target of " + path, path)
    elif kind == "fifo":
        at.mkfifo(path, 0o640)
    elif kind == "device":
        at.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3) if os.geteuid() == 0 else 0)
    elif kind != "missing":
        at.mkdir(path, 0o750)
        if kind == "full directory":
            at.make(path + "/inside", os.fsencode(path))


def numbers(path: str) -> dict[str, int]:
    """Return the inode numbers below ``path``."""
    found = {}
    for directory, directories, files in os.walk(path):
        for name in [*directories, *files]:
            there = os.path.relpath(os.path.join(directory, name))
            found[there] = os.lstat(there).st_ino
    return found


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_link(twins: Twins, kind: str):
    def scenario(at: Site) -> None:
        at.mkdir("d", 0o755)
        at.mkdir("e", 0o755)
        make(at, kind, "d/x")
        outcome, moved = at.marks(lambda: at.link("d/x", "e/y"), "d", "d/x", "e")
        if "directory" in kind:
            assert (outcome, moved) == ("EPERM", ["", "", ""])
            return
        assert (outcome, moved) == (None, ["", "c", "mc"])
        assert os.lstat("d/x") == os.lstat("e/y")
        assert at.link("d/x", "d/x2") is None
        assert at.link("e/y", "d/x2") == "EEXIST"
        assert os.lstat("d/x").st_nlink == 3
        at.chmod("e/y", 0o611, follow_symlinks=True) if kind != "symlink" else None
        _, moved = at.marks(lambda: at.unlink("d/x"), "d", "e", "e/y")
        assert moved == ["mc", "", "c"]
        _, moved = at.marks(lambda: at.rename("d/x2", "e/y"), "d", "e", "e/y")
        assert moved == ["", "", ""]  # two links to one thing: nothing happens
        assert os.lstat("d/x2").st_nlink == 2
        _, moved = at.marks(lambda: at.rename("d/x2", "e/z"), "d", "e", "e/y")
        assert moved == ["mc", "mc", "c"]

    twins.both(scenario)


@pytest.mark.parametrize("kind", KINDS)
def test_rename_of_every_kind_over_every_kind(twins: Twins, kind: str):
    """In one directory and between two; what is refused leaves every time as it was."""

    def scenario(at: Site) -> None:
        for other in KINDS:
            for flags in (0, 1, 2):
                at.mkdir("in", 0o755)
                os.chdir("in")
                rename_both_ways(at, kind, other, flags)
                os.chdir("..")
                at.rename("in", f"{kind} {flags} {other}")

    twins.both(scenario)


def rename_both_ways(at: Site, kind: str, other: str, flags: int) -> None:
    at.mkdir("d", 0o755)
    at.mkdir("e", 0o755)
    for source, target in (("d/x", "d/y"), ("d/p", "e/q")):
        make(at, kind, source)
        make(at, other, target)
        there = [path for path in ("d", "e", source, target) if os.path.lexists(path)]
        descriptors = [os.open(path, os.O_PATH | os.O_NOFOLLOW) for path in there]
        before = numbers(".")
        rename = functools.partial(_rename, at, source, target, flags)
        outcome, moved = at.marks(rename, *descriptors)
        after = numbers(".")
        if outcome is None:
            assert after[target] == before[source]
            assert flags != 2 or after[source] == before[target]
        else:
            assert after == before
            assert set(moved) == {""}
        for path in ("d", "e", source, target):
            at.lstat(path)
        for descriptor in descriptors:
            os.close(descriptor)


def _rename(at: Site, source: str, target: str, flags: int) -> object:
    return at.renameat2(source, target, flags) if flags else at.rename(source, target)


def test_rename_into_itself_and_over_what_it_is_in(twins: Twins):
    def scenario(at: Site) -> None:
        at.call("makedirs", os.makedirs, "a/b/c")
        at.make("a/f")
        assert at.rename("a", "a/b/c/a") == "EINVAL"
        assert at.rename("a", "a/new") == "EINVAL"
        assert at.rename("a/b/c", "a") == "ENOTEMPTY"
        assert at.rename("a/b/c", "a/b") == "ENOTEMPTY"
        assert at.renameat2("a", "a/b/c", 2) == "EINVAL"
        assert at.renameat2("a/b/c", "a", 2) == "EINVAL"
        assert at.rename("a", "a") is None
        assert at.rename("a/.", "x") in ("EBUSY", "EINVAL")
        assert at.rename("a/f", "a/b/..") in ("EBUSY", "EINVAL", "ENOTEMPTY")
        assert at.renameat2("a/f", "a/g", 3) == "EINVAL"
        assert at.renameat2("a/f", "a/g", 64) == "EINVAL"

    twins.both(scenario)


def test_a_directory_moves_with_its_parent_link(twins: Twins):
    def scenario(at: Site) -> None:
        at.call("makedirs", os.makedirs, "a/m/deep")
        at.mkdir("b", 0o755)
        at.mkdir("b/taken", 0o755)
        for source, target in (("a/m", "b/m"), ("b/m", "b/taken"), ("b/taken", "a/m")):
            at.marks(functools.partial(at.rename, source, target), source[0], target[0])
            for path in (".", "a", "b"):
                at.stat(path)
            assert os.stat(target + "/..").st_ino == os.stat(target[0]).st_ino
        assert at.renameat2("a/m/deep", "b", 2) is None
        for path in (".", "a", "a/m", "b"):
            at.stat(path)

    twins.both(scenario)


def test_links_in_number(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f", b"one")
        for number in range(400):
            os.link("f", f"l{number}")
        assert os.stat("f").st_nlink == 401
        for number in range(0, 400, 2):
            os.unlink(f"l{number}")
        at.stat("f")

    twins.both(scenario)


def test_live_and_snapshots_are_two_filesystems(shared_mount: Mount, twins: Twins):
    file = twins.live / "f"
    file.write_bytes(b"content")
    latest = shared_mount.snapshots / "latest" / twins.live.name
    for move in (os.rename, os.link):
        for source, target in ((file, latest / "new"), (latest / "f", twins.live / "new")):
            with pytest.raises(OSError, match="cross-device") as raised:
                move(source, target)
            assert raised.value.errno == errno.EXDEV
        with pytest.raises(OSError, match="Read-only") as raised:
            move(latest / "f", latest / "new")
        assert raised.value.errno == errno.EROFS
    with pytest.raises(OSError, match="Read-only"):
        os.rename(shared_mount.live, shared_mount.mountpoint / "other")
    assert os.listdir(twins.live) == ["f"]
