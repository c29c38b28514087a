"""Nothing that a program can see changes by packing, remounting, a kill, or a lost index."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.mount import Mount
from rig.syscalls import (
    AT_SYMLINK_FOLLOW,
    KEEP_SIZE,
    PUNCH_HOLE,
    linkat,
    name_to_handle,
    open_by_handle,
)
from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make devices")

MIB = 1 << 20
PART = 16 * MIB


def pack(mount: Mount) -> None:
    mount.gc()


def remount(mount: Mount) -> None:
    mount.remount()


def kill(mount: Mount) -> None:
    mount.kill9()
    mount.start()


def lose_the_index(mount: Mount) -> None:
    mount.unmount()
    for path in mount.storage.glob("index.sqlite*"):
        path.unlink()
    mount.start()


EVENTS = [pack, remount, pack, kill, lose_the_index, pack, lose_the_index]


def everything(root: Path) -> dict[str, tuple[object, ...]]:
    """Return every attribute of everything below ``root``."""
    found = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = os.path.join(directory, name)
            s = os.lstat(path)
            found[os.path.relpath(path, root)] = (
                *(s.st_ino, oct(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, s.st_rdev),
                *(s.st_size if not stat.S_ISDIR(s.st_mode) else 0, s.st_blocks),
                *(s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns),
                sorted(os.listxattr(path, follow_symlinks=False)),
            )
    return found


def some_of_everything(at: Site) -> None:
    at.make("file", b"content" * 1000)
    at.link("file", "link")
    at.mkdir("dir", 0o750)
    at.link("file", "dir/third")
    at.make("dir/set-id", b"x")
    at.chmod("dir/set-id", 0o6751)
    at.mkdir("sticky", 0o1777)
    at.chmod("sticky", 0o1777)
    at.symlink("nowhere \udcff", "symlink")
    at.mkfifo("fifo", 0o604)
    at.mknod("socket", stat.S_IFSOCK | 0o640)
    at.make("empty")
    at.make('dir/\udcfe\n"\\', b"strange name")
    at.setxattr("file", "user.a", b"\0\xff" * 100)
    at.setxattr("dir", "user.d", b"")
    if os.geteuid() == 0:
        at.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        at.mknod("block", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
        at.setxattr("symlink", "trusted.l", b"1", follow_symlinks=False)
        at.setxattr("file", "security.x", b"2")
        at.lchown("symlink", 12345, 4_000_000_000)
        at.chown("dir", 65534, 65533)
    for path, times in (("file", (-1, 7)), ("dir", (2**32 + 5, 1)), ("symlink", (0, 0))):
        seconds, nanoseconds = times
        at.utimensat(path, (seconds, nanoseconds), (seconds + 1, nanoseconds), 0x100)
    sparse = int(at.open("sparse", os.O_CREAT | os.O_RDWR))
    os.ftruncate(sparse, 3 * PART)
    os.pwrite(sparse, b"over the edge", PART - 5)
    os.pwrite(sparse, b"s" * 10_000, 2 * PART + 12_345)
    at.fallocate(sparse, KEEP_SIZE | PUNCH_HOLE, 2 * PART + 14_000, 3000)
    at.copy_file_range(sparse, sparse, 20_000, 2 * PART + 12_345, 100)


def test_everything_is_kept(mounted: Mount, beside: Path, twins_of: Callable[..., Twins]):
    twins = twins_of(mounted)
    twins.both(some_of_everything)
    before = everything(twins.live)
    for event in EVENTS:
        event(mounted)
        assert everything(twins.live) == before, f"changed by {event.__name__}"
        twins.compare()


def test_changes_in_place_of_what_is_packed(mounted: Mount, twins_of: Callable[..., Twins]):
    twins = twins_of(mounted)
    twins.both(some_of_everything)

    def change(at: Site) -> None:
        descriptor = int(at.open("file", os.O_RDWR))
        at.pwrite(descriptor, b"IN PLACE", 3000)
        at.ftruncate(descriptor, 6000)
        at.fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, 100, 200)
        at.content("dir/third")
        sparse = int(at.open("sparse", os.O_RDWR))
        at.pwrite(sparse, b"again", PART - 2)
        at.copy_file_range(sparse, descriptor, 5000, PART - 2500, 10_000)
        os.lseek(descriptor, 0, os.SEEK_END)
        at.write(descriptor, b"end")
        at.rename("link", "dir/moved")
        at.unlink("file")
        at.chmod("dir/third", 0o600)

    for event in (pack, pack, kill, lose_the_index):
        event(mounted)
        twins.compare()
        twins.both(change) if event is pack else None
        twins.both(lambda at: at.rename("dir/moved", "link")) if event is pack else None
        twins.both(lambda at: at.link("link", "file")) if event is pack else None
    twins.compare()


def test_open_files_without_a_name_live_over_packing(mounted: Mount):
    live = mounted.live
    (live / "unlinked").write_bytes(b"u" * 100_000)
    (live / "replaced").write_bytes(b"r" * 100_000)
    (live / "new").write_bytes(b"n" * 1000)
    unlinked = os.open(live / "unlinked", os.O_RDWR)
    replaced = os.open(live / "replaced", os.O_RDWR)
    unnamed = os.open(live, os.O_TMPFILE | os.O_RDWR)
    os.write(unnamed, b"t" * 100_000)
    mapping = mmap.mmap(unlinked, 100_000)
    os.unlink(live / "unlinked")
    os.rename(live / "new", live / "replaced")
    for turn in range(3):
        mounted.gc()
        (live / f"other{turn}").write_bytes(os.urandom(50_000))
        for descriptor, letter in ((unlinked, b"u"), (replaced, b"r"), (unnamed, b"t")):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.fstat(descriptor).st_nlink == 0
            content = os.pread(descriptor, 100_001, 0)
            assert content[turn * 100 :] == letter * (100_000 - turn * 100)
            os.pwrite(descriptor, b"#" * 100, turn * 100)
    mapping[50_000:50_003] = b"MAP"
    mapping.flush()
    mounted.gc()
    assert os.pread(unlinked, 5, 49_999) == b"uMAPu"
    linkat(f"/proc/self/fd/{unnamed}", os.fspath(live / "named"), AT_SYMLINK_FOLLOW)
    mapping.close()
    for descriptor in (unlinked, replaced, unnamed):
        os.close(descriptor)
    mounted.gc()
    mounted.remount()
    assert (live / "named").read_bytes() == b"#" * 300 + b"t" * 99_700
    assert (live / "replaced").read_bytes() == b"n" * 1000


def test_attributes_of_packed_files_move_no_content(mounted: Mount):
    for number in range(300):
        (mounted.live / f"{number}").write_bytes(os.urandom(2000))
    mounted.gc()
    for number in range(300):
        path = mounted.live / f"{number}"
        os.chown(path, os.geteuid(), os.getegid())
        os.chmod(path, 0o640)
        os.utime(path, (1, number))
        os.rename(path, mounted.live / f"renamed{number}")
    assert mounted.gc()["files"] == 0
    assert sum(path.stat().st_size for path in (mounted.storage / "hot").iterdir()) == 0
    assert len(list((mounted.storage / "archives").glob("*.tar.zst"))) == 1


def test_appending_to_a_large_packed_file_repacks_its_end_only(mounted: Mount):
    path = mounted.live / "log"
    path.write_bytes(os.urandom(4 * PART + 1000))
    mounted.gc()

    def archived() -> int:
        archives = (mounted.storage / "archives").glob("*.tar.zst")
        return sum(path.stat().st_size for path in archives)

    whole = archived()
    for turn in range(3):
        with open(path, "ab") as file:
            file.write(b"a line\n")
        hot = sum(path.stat().st_size for path in (mounted.storage / "hot").iterdir())
        assert hot < 1000
        packed = mounted.gc()
        assert packed["bytes_in"] < 2 * MIB, f"packed again in turn {turn}"
    assert archived() - whole < MIB
    with open(path, "r+b") as file:
        file.seek(PART + 5)
        file.write(b"in the middle")
    packed = mounted.gc()
    assert packed["bytes_in"] <= PART
    mounted.remount()
    content = path.read_bytes()
    assert content[PART + 5 : PART + 18] == b"in the middle"
    assert content[4 * PART + 1000 :] == b"a line\n" * 3


@ROOT
def test_file_handles_are_good_for_as_long_as_the_file(mounted: Mount):
    """As NFS servers use them: over a remount, a rename, and for directories."""
    (mounted.live / "d" / "e").mkdir(parents=True)
    (mounted.live / "d" / "e" / "f").write_bytes(b"content")
    (mounted.live / "gone").touch()
    paths = ["", "d", "d/e", "d/e/f", "gone"]
    handles = {path: name_to_handle(os.fspath(mounted.live / path)) for path in paths}
    numbers = {path: os.stat(mounted.live / path).st_ino for path in paths}
    mounted.remount()
    (mounted.live / "gone").unlink()
    os.rename(mounted.live / "d" / "e" / "f", mounted.live / "d" / "moved")
    top = os.open(mounted.mountpoint, os.O_RDONLY)
    for path in ("d/e/f", "d/e", "", "d"):
        descriptor = open_by_handle(top, handles[path], os.O_RDONLY)
        assert os.fstat(descriptor).st_ino == numbers[path]
        if path == "d/e/f":
            assert os.read(descriptor, 10) == b"content"
        os.close(descriptor)
    with pytest.raises(OSError, match="Stale file handle"):
        open_by_handle(top, handles["gone"], os.O_RDONLY)
    os.close(top)
