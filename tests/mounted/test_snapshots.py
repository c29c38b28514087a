"""Snapshots as programs see them: what was, exactly, and nothing that can be changed."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from rig.mount import Mount
from rig.syscalls import RENAME_EXCHANGE, renameat2
from rig.trees import at, files, set_mtime, tree

OLD, MIDDLE, NEW = at(2023, 5, 1), at(2023, 5, 10), at(2023, 6, 1)
LARGE = 16 << 20


def on(mount: Mount, day: str) -> Path:
    return mount.snapshots / day


def today(mount: Mount) -> Path:
    return mount.snapshots / f"{date.today():%Y/%m/%d}"


def put(path: Path, content: bytes, mtime: int) -> None:
    """Write a file in place and date it."""
    path.write_bytes(content)
    set_mtime(path, mtime)


def bring(path: Path, content: bytes, mtime: int) -> None:
    """Replace a file as rsync does."""
    draft = path.with_name(f".{path.name}.Xy12ab")
    put(draft, content, mtime)
    draft.rename(path)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("replace", [put, bring])
def test_each_version_is_shown_from_its_day_on(mounted: Mount, replace: Callable[..., None]):
    document = mounted.live / "a.json"
    for content, mtime in ((b"one", OLD), (b"second", MIDDLE), (b"3", NEW)):
        replace(document, content, mtime)

    def check() -> None:
        assert not on(mounted, "2023/04/30").exists()
        for day, content in {
            "2023/05/01": b"one", "2023/05/09": b"one", "2023/05/10": b"second",
            "2023/05/31": b"second", "2023/06/01": b"3", "2024/02/29": b"3", "latest": b"3",
        }.items():  # fmt: skip
            assert on(mounted, day).joinpath("a.json").read_bytes() == content, day
            assert os.listdir(on(mounted, day)) == ["a.json"]
        assert (on(mounted, "2023/05/11") / "a.json").stat().st_mtime_ns == MIDDLE

    check()
    assert mounted.gc()["files"] > 0
    check()
    mounted.remount()
    check()


def test_an_open_file_of_the_past_stays_what_it_was(mounted: Mount):
    document = mounted.live / "a.json"
    put(document, b"one", OLD)
    with open(on(mounted, "2023/05/20") / "a.json", "rb") as past:
        assert past.read() == b"one"
        put(document, b"second", MIDDLE)
        assert (on(mounted, "2023/05/20") / "a.json").read_bytes() == b"second"
        past.seek(0)
        assert past.read() == b"one"


def test_names_given_to_other_files_keep_what_they_showed(mounted: Mount):
    live = mounted.live
    put(live / "a.json", b"a", OLD)
    put(live / "b.json", b"b", OLD)
    put(live / "c.json", b"new c", MIDDLE)
    put(live / "d.json", b"d", NEW)
    os.link(live / "d.json", live / "new.json")
    renameat2(live / "a.json", live / "b.json", RENAME_EXCHANGE)
    (live / "c.json").rename(live / "b.json")
    os.link(live / "a.json", live / "linked.json")
    (live / "d.json").rename(live / "a.json")
    for day in ("2023/05/09", "2023/05/31", "2023/06/01"):
        assert files(on(mounted, day)) == files_of(a=b"a", b=b"b", linked=b"b")
    assert files(today(mounted)) == files_of(a=b"d", b=b"new c", linked=b"b", new=b"d")
    past = today(mounted)
    assert (past / "a.json").stat().st_ino == (past / "new.json").stat().st_ino
    assert (past / "a.json").stat().st_nlink == 2


def files_of(**content: bytes) -> dict[bytes, str]:
    import hashlib

    return {
        f"{name}.json".encode(): hashlib.sha256(data).hexdigest() for name, data in content.items()
    }


def test_names_of_a_moment_leave_no_trace(mounted: Mount):
    live = mounted.live
    bring(live / "kept.json", b"kept", OLD)
    put(live / "passing.json", b"passing", OLD)
    (live / "passing.json").unlink()
    put(live / "first.json", b"named twice", OLD)
    (live / "first.json").rename(live / "second.json")
    assert sorted(os.listdir(on(mounted, "2023/05/01"))) == ["kept.json", "second.json"]
    assert sorted(os.listdir(today(mounted))) == ["kept.json", "second.json"]


def test_a_directory_is_as_old_as_what_is_in_it(mounted: Mount):
    live = mounted.live
    (live / "a/b/c").mkdir(parents=True)
    put(live / "a/b/c/d.json", b"deep", OLD)
    (live / "empty").mkdir()
    set_mtime(live / "empty", MIDDLE)
    (live / "new").mkdir()

    def check() -> None:
        assert os.listdir(on(mounted, "2023/05/01")) == ["a"]
        assert (on(mounted, "2023/05/01") / "a/b/c/d.json").read_bytes() == b"deep"
        assert sorted(os.listdir(on(mounted, "2023/05/10"))) == ["a", "empty"]
        assert os.listdir(on(mounted, "2023/05/10") / "empty") == []
        assert sorted(os.listdir(today(mounted))) == ["a", "empty", "new"]

    check()
    put(live / "a/b/c/d.json", b"rewritten", NEW)  # the first version must not be forgotten
    (live / "empty/late.json").touch()
    check()
    mounted.unmount()
    (mounted.storage / "index.sqlite").unlink()
    mounted.start()
    check()


def test_everything_of_a_file_is_that_of_the_day(mounted: Mount):
    live = mounted.live
    put(live / "a.json", b"{}", OLD)
    os.setxattr(live / "a.json", "user.source", b"feed 1")
    (live / "a.json").chmod(0o640)
    (live / "link").symlink_to("a.json")
    set_mtime(live / "link", OLD)
    put(live / "a.json", b"{ }", MIDDLE)
    os.setxattr(live / "a.json", "user.source", b"feed 2")
    (live / "a.json").chmod(0o600)
    if os.getuid() == 0:
        os.chown(live / "a.json", 1000, 1001)
    now = os.stat(live / "a.json")
    then = on(mounted, "2023/05/05") / "a.json"
    assert stat.S_IMODE(then.stat().st_mode) == 0o640
    assert then.stat().st_uid == os.getuid()
    assert os.getxattr(then, "user.source") == b"feed 1"
    assert then.stat().st_size == 2
    for newer in (on(mounted, "2023/05/10") / "a.json", mounted.snapshots / "latest/a.json"):
        found = newer.stat()
        assert (found.st_mode, found.st_uid, found.st_gid) == (now.st_mode, now.st_uid, now.st_gid)
        assert os.listxattr(newer) == ["user.source"]
        assert os.getxattr(newer, "user.source") == b"feed 2"
    assert os.readlink(on(mounted, "2023/05/05") / "link") == "a.json"
    assert (on(mounted, "2023/05/05") / "link").lstat().st_mtime_ns == OLD


def test_nothing_in_a_snapshot_can_be_changed(mounted: Mount):
    live = mounted.live
    (live / "d").mkdir()
    put(live / "d/a.json", b"{}", OLD)
    os.setxattr(live / "d/a.json", "user.x", b"1")
    before = tree(live)
    for past in (on(mounted, "2023/05/01"), mounted.snapshots / "latest", today(mounted)):
        document = past / "d/a.json"
        attempts: list[Callable[[], object]] = [
            lambda p=document: p.write_bytes(b"changed"),
            lambda p=document: os.truncate(p, 0),
            lambda p=document: os.chmod(p, 0o777),
            lambda p=document: os.chown(p, 1, 1),
            lambda p=document: os.utime(p),
            lambda p=document: os.setxattr(p, "user.x", b"2"),
            lambda p=document: os.removexattr(p, "user.x"),
            lambda p=document: os.unlink(p),
            lambda p=document: os.rename(p, p.with_name("b.json")),
            lambda p=document: os.link(p, p.with_name("b.json")),
            lambda p=past: (p / "new.json").touch(),
            lambda p=past: (p / "new").mkdir(),
            lambda p=past: (p / "new").symlink_to("d"),
            lambda p=past: os.mkfifo(p / "fifo"),
            lambda p=past: os.rmdir(p / "d"),
            lambda p=past: append(p / "d/a.json"),
        ]
        for attempt in attempts:
            with pytest.raises(OSError) as caught:
                attempt()
            assert caught.value.errno == errno.EROFS, attempt
        with pytest.raises(OSError) as caught:
            os.rename(document, live / "stolen.json")
        assert caught.value.errno in {errno.EROFS, errno.EXDEV}
        with pytest.raises(OSError) as caught:
            os.link(document, live / "stolen.json")
        assert caught.value.errno in {errno.EROFS, errno.EXDEV}
    for virtual in (mounted.snapshots, mounted.snapshots / "2023", mounted.snapshots / "2023/05"):
        with pytest.raises(OSError) as caught:
            (virtual / "new").mkdir()
        assert caught.value.errno == errno.EROFS
        with pytest.raises(OSError) as caught:
            virtual.chmod(0o777)
        assert caught.value.errno == errno.EROFS
    assert tree(live) == before


def append(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"more")


def test_the_hierarchy_lists_days_that_saw_a_change(mounted: Mount):
    put(mounted.live / "a", b"a", OLD)
    put(mounted.live / "b", b"b", NEW)
    year = str(date.today().year)
    assert set(os.listdir(mounted.snapshots)) == {"latest", "2023", year}
    assert os.stat(mounted.snapshots).st_nlink == 1  # find counts on it: 2 would mean "no more"
    assert run("find", mounted.snapshots / "2023", "-noleaf") == run(
        "find", mounted.snapshots / "2023"
    )
    assert sorted(os.listdir(mounted.snapshots / "2023")) == ["05", "06"]
    assert os.listdir(mounted.snapshots / "2023/05") == ["01"]
    assert os.listdir(mounted.snapshots / "2023/05/17") == ["a"]  # not listed, and still there
    assert sorted(os.listdir(on(mounted, "2024/01/01"))) == ["a", "b"]
    for name in ("2022", "2023/04", "2023/05/32", "2023/05/1", "2023/13", "2023/02/30", "x", "0000",
                 "2023/05/00", "9999", "2023/04/30"):  # fmt: skip
        assert not (mounted.snapshots / name).exists(), name


def test_tools_read_snapshots(mounted: Mount, tmp_path: Path):
    live = mounted.live
    for number in range(30):
        place = live / f"{number % 3}/{number}.json"
        place.parent.mkdir(exist_ok=True)
        put(place, b"%d" % number * 1000, OLD + number)
    run("cp", "-a", live, tmp_path / "then")
    for path in sorted(live.rglob("*.json"))[::2]:
        put(path, b"changed", MIDDLE)
    (live / "0/0.json").chmod(0o600)
    past = on(mounted, "2023/05/01")
    run("diff", "-r", tmp_path / "then", past)
    found = run("find", past, "-type", "f", "-newermt", "2023-04-30", "-printf", "%f %s\n")
    assert len(found.splitlines()) == 30
    assert len(run("ls", "-lR", past).splitlines()) >= 30
    size = int(run("du", "-s", "--apparent-size", "--block-size=1", past).split()[0])
    assert size >= sum(path.stat().st_size for path in (tmp_path / "then").rglob("*.json"))
    with open(tmp_path / "then.tar", "wb") as archive:
        subprocess.run(["tar", "-c", "--format=posix", "-C", past, "."], stdout=archive, check=True)
    (tmp_path / "unpacked").mkdir()
    run("tar", "-xf", tmp_path / "then.tar", "-C", tmp_path / "unpacked")
    assert tree(tmp_path / "unpacked") == tree(tmp_path / "then") == tree(past)
    run("rsync", "-a", f"{past}/", tmp_path / "synced")
    run("diff", "-r", tmp_path / "then", tmp_path / "synced")
    assert run("grep", "-rlx", "changed", past.parent / "10").count("\n") == 15


def test_large_directories_are_listed_whole(mounted: Mount):
    """More than a page of names that are as they were, and more than one of names that are not."""
    live, every = mounted.live, range(2200)
    for number in every:
        put(live / f"{number:05d}", b"", OLD)
    for number in every[::3]:  # replaced later: their names have history
        bring(live / f"{number:05d}", b"new", MIDDLE)
    for number in every[1000::500]:
        put(live / f"added {number}", b"", NEW)
    names = {f"{number:05d}" for number in every}
    for _ in range(2):
        listed = os.listdir(on(mounted, "2023/05/01"))
        assert len(listed) == len(set(listed))
        assert set(listed) == names
        with os.scandir(on(mounted, "2023/05/11")) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        assert sizes == {f"{number:05d}": 3 * (number % 3 == 0) for number in every}
        assert len(os.listdir(on(mounted, "latest"))) == len(names) + 3
        mounted.gc()
    # A listing that begins anew in the middle sees what is new.
    descriptor = os.open(on(mounted, "2023/05/01"), os.O_RDONLY)
    try:
        assert len(os.listdir(descriptor)) == len(names)
        put(live / "late", b"", OLD)
        assert len(os.listdir(descriptor)) == len(names) + 1
    finally:
        os.close(descriptor)


def test_names_that_are_not_utf8(mounted: Mount):
    live = os.fsencode(mounted.live)
    names = {b"\xff\xfe.json", b"caf\xe9", "café".encode(), b"new\nline", b" ", b"x" * 255}
    for content, mtime in ((b"old", OLD), (b"new", NEW)):
        for name in names:
            path = os.path.join(live, name)
            with open(path, "wb") as file:
                file.write(content + name)
            set_mtime(path, mtime)
    for day, content in (("2023/05/02", b"old"), ("2023/06/02", b"new")):
        past = os.fsencode(on(mounted, day))
        assert set(os.listdir(past)) == names
        for name in names:
            with open(os.path.join(past, name), "rb") as file:
                assert file.read() == content + name


def test_each_part_of_a_large_file_is_that_of_the_day(mounted: Mount):
    document = mounted.live / "large.bin"
    block = bytes(range(256)) * 4096  # 1 MiB
    with open(document, "wb") as file:
        for number in range(34):
            file.write(bytes([number]) + block[1:])
    set_mtime(document, OLD)
    with open(document, "r+b") as file:
        file.seek(LARGE + 5)
        file.write(b"CHANGED")
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    set_mtime(document, MIDDLE)
    os.truncate(document, LARGE + 100)
    set_mtime(document, NEW)
    original = b"".join(bytes([number]) + block[1:] for number in range(34))
    changed = original[: LARGE + 5] + b"CHANGED" + original[LARGE + 12 :] + b"the end"

    def check() -> None:
        assert (on(mounted, "2023/05/01") / "large.bin").read_bytes() == original
        assert (on(mounted, "2023/05/10") / "large.bin").read_bytes() == changed
        assert (on(mounted, "2023/06/01") / "large.bin").read_bytes() == changed[: LARGE + 100]

    check()
    mounted.gc()
    check()
    mounted.unmount()
    (mounted.storage / "index.sqlite").unlink()
    mounted.start()
    check()
