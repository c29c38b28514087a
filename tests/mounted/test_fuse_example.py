"""The memory filesystem under a real kernel.

The daemon is this file run as a program, in a process of its own: a process that serves a mount
must never touch it. A watchdog kills a daemon that hangs, which makes what waits for it fail.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from djafs.fuse import Config, Deferred, Server, mount
from djafs.testing.memory_filesystem import (
    IOCTL_COUNT,
    IOCTL_REVERSE,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    MemoryFilesystem,
)

WATCHDOG = 60.0


class Daemon(MemoryFilesystem):
    """The memory filesystem, with reads that come from the pool, and a bug."""

    def read(self, request, handle, offset, size, flags):
        content = super().read(request, handle, offset, size, flags)
        return Deferred(lambda: content)

    def lookup(self, request, name):
        if name == b"bug":
            raise ZeroDivisionError
        return super().lookup(request, name)

    def create(self, request, name, flags, mode, umask, open_flags):
        if name == b"deferred bug":
            return Deferred(lambda: 1 // 0)
        return super().create(request, name, flags, mode, umask, open_flags)


def serve(mountpoint: str) -> None:
    descriptor = mount(mountpoint, ["fsname=a,b\\c", "subtype=memory", "default_permissions"])
    print("mounted", flush=True)
    server = Server(descriptor, Daemon(), Config(deferred_threads=2))
    server.serve()
    print(f"unmounted {server.info.max_write}", flush=True)


@contextlib.contextmanager
def mounted(mountpoint: Path):
    """Run the daemon, and leave neither it nor its mount behind."""
    daemon = subprocess.Popen(
        [sys.executable, __file__, str(mountpoint)], stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(WATCHDOG, daemon.kill)
    watchdog.start()
    try:
        assert daemon.stdout.readline() == "mounted\n"
        yield daemon
    finally:
        subprocess.run(["fusermount3", "-uz", mountpoint], stderr=subprocess.DEVNULL, check=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(20)
        watchdog.cancel()
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()


def fuse_mounts() -> str:
    return "".join(
        line for line in Path("/proc/self/mounts").read_text().splitlines() if " fuse." in line
    )


pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="/dev/fuse cannot be opened"
)


@pytest.fixture(scope="module")
def mountpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mount")
    with mounted(directory):
        yield directory
    assert str(directory) not in fuse_mounts()


@pytest.fixture
def top(mountpoint, request):
    """A new directory in the mount for each test."""
    directory = mountpoint / request.node.name
    directory.mkdir()
    return directory


def libc_call(name: str, *arguments) -> None:
    """Make a system call that Python has no function for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def rename2(old: Path, new: Path, flags: int) -> None:
    at_cwd = -100
    libc_call("renameat2", at_cwd, bytes(old), at_cwd, bytes(new), flags)


def test_content(top):
    path = top / "file"
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    assert path.read_bytes() == content
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"changed")
        file.truncate(1_000_010)
        os.fsync(file.fileno())
        assert os.pread(file.fileno(), 20, 999_998) == content[999_998:1_000_000] + (
            b"changed" + content[1_000_007:1_000_010]
        )
    with path.open("ab") as file:
        file.write(b"more")
    assert path.stat().st_size == 1_000_014


def test_reads_past_the_page_cache(top):
    path = top / "file"
    content = os.urandom(500_000)
    path.write_bytes(content)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == content


def test_an_unlinked_file_lives_while_it_is_open(top):
    path = top / "file"
    with path.open("w+b") as file:
        file.write(b"still here")
        file.flush()
        path.unlink()
        assert not path.exists()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), 100, 0) == b"still here"
        assert os.fstat(file.fileno()).st_nlink == 0


def test_attributes(top):
    path = top / "file"
    path.touch(mode=0o640)
    path.chmod(0o600)
    os.utime(path, ns=(-1_500_000_000, 1_700_000_000_123_456_789))
    status = path.stat()
    assert stat.filemode(status.st_mode) == "-rw-------"
    assert (status.st_atime_ns, status.st_mtime_ns) == (-1_500_000_000, 1_700_000_000_123_456_789)
    os.utime(path)
    assert path.stat().st_mtime_ns > 1_700_000_000_123_456_789
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
        assert (path.stat().st_uid, path.stat().st_gid) == (12, 34)


def test_a_set_gid_directory_gives_its_group(top):
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(top, 0, 34)
    top.chmod(0o2755)
    (top / "file").touch()
    (top / "directory").mkdir()
    assert (top / "file").stat().st_gid == 34
    assert (top / "directory").stat().st_gid == 34
    assert (top / "directory").stat().st_mode & stat.S_ISGID


def test_links(top):
    (top / "file").write_text("content")
    (top / "symlink").symlink_to("file")
    (top / "link").hardlink_to(top / "file")
    assert (top / "symlink").readlink() == Path("file")
    assert (top / "symlink").read_text() == "content"
    assert (top / "file").stat().st_nlink == 2
    assert (top / "file").samefile(top / "link")
    os.mkfifo(top / "fifo")
    assert stat.S_ISFIFO((top / "fifo").stat().st_mode)


def test_renaming(top):
    (top / "a").write_text("a")
    (top / "b").write_text("b")
    (top / "d").mkdir()
    (top / "a").rename(top / "d" / "a")
    assert sorted(os.listdir(top)) == ["b", "d"]
    with pytest.raises(FileExistsError):
        rename2(top / "b", top / "d" / "a", RENAME_NOREPLACE)
    rename2(top / "b", top / "d" / "a", RENAME_EXCHANGE)
    assert (top / "b").read_text() == "a"
    (top / "b").replace(top / "d" / "a")
    assert (top / "d" / "a").read_text() == "a"
    assert os.listdir(top) == ["d"]
    with pytest.raises(OSError, match="not empty"):
        (top / "d").rmdir()
    (top / "d" / "a").unlink()
    (top / "d").rmdir()
    assert os.listdir(top) == []


def test_a_listing_of_2000(top):
    names = [f"{number:04}" + "x" * (number % 50) for number in range(2000)]
    for name in names:
        (top / name).touch()
    assert os.listdir(top) == names
    assert [each.name for each in os.scandir(top) if each.stat().st_size == 0] == names
    with os.scandir(top) as listing:
        first = next(listing).name
        for name in names[1:1000]:
            (top / name).unlink()
        # What was there all the time is listed once; what went away may be listed or not.
        rest = [each.name for each in listing]
    assert first == names[0]
    assert rest[-1000:] == names[1000:]
    assert os.listdir(top) == [names[0], *names[1000:]]


def test_extended_attributes(top):
    path = top / "file"
    path.touch()
    os.setxattr(path, "user.one", b"1")
    os.setxattr(path, "user.two", b"2" * 1000)
    assert os.getxattr(path, "user.one") == b"1"
    assert os.getxattr(path, "user.two") == b"2" * 1000
    assert os.listxattr(path) == ["user.one", "user.two"]
    with pytest.raises(FileExistsError):
        os.setxattr(path, "user.one", b"", os.XATTR_CREATE)
    os.removexattr(path, "user.one")
    with pytest.raises(OSError, match="No data") as caught:
        os.getxattr(path, "user.one")
    assert caught.value.errno == errno.ENODATA


def test_a_shared_mapping(top):
    path = top / "file"
    path.write_bytes(b"a" * 10_000)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        assert mapping[9_999] == ord("a")
        mapping[5_000:5_005] = b"bbbbb"
        mapping.flush()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), 7, 4_999) == b"abbbbba"


def test_ioctl(top):
    descriptor = os.open(top, os.O_RDONLY)
    try:
        count = bytearray(8)
        fcntl.ioctl(descriptor, IOCTL_COUNT, count)
        assert struct.unpack("=Q", count)[0] > 1
        text = bytearray(b"0123456789abcdef")
        fcntl.ioctl(descriptor, IOCTL_REVERSE, text)
        assert text == b"fedcba9876543210"
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            fcntl.ioctl(descriptor, 0x80086D63, count)
    finally:
        os.close(descriptor)


def test_room(top):
    room = os.statvfs(top)
    assert (room.f_blocks, room.f_namemax) == (1 << 20, 255)
    with pytest.raises(OSError, match="name too long"):
        (top / ("n" * 256)).touch()


def test_a_bug_is_an_io_error_and_the_daemon_goes_on(top):
    for name in ("bug", "deferred bug"):
        with pytest.raises(OSError, match="Input/output") as caught:
            (top / name).touch()
        assert caught.value.errno == errno.EIO
    (top / "fine").touch()


def test_what_is_not_implemented(top):
    (top / "file").write_bytes(b"content")
    with (top / "file").open("r+b") as file:
        os.fsync(file.fileno())
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 7
        with pytest.raises(OSError, match="not supported"):
            libc_call("fallocate", file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(100))
        with (top / "copy").open("wb") as copy:
            assert os.copy_file_range(file.fileno(), copy.fileno(), 7, offset_src=0) == 7
    assert (top / "copy").read_bytes() == b"content"


def test_mounting_and_unmounting(tmp_path):
    with mounted(tmp_path) as daemon:
        assert f"a,b\\134c {tmp_path} fuse.memory" in fuse_mounts()
        (tmp_path / "file").touch()
        subprocess.run(["fusermount3", "-u", tmp_path], check=True)
        assert daemon.stdout.readline() == f"unmounted {1 << 20}\n"
        assert daemon.wait(20) == 0
    assert os.listdir(tmp_path) == []


def test_a_daemon_that_dies_leaves_a_mount_that_fails(tmp_path):
    with mounted(tmp_path) as daemon:
        daemon.kill()
        daemon.wait()
        with pytest.raises(OSError, match="not connected") as caught:
            os.listdir(tmp_path)
        assert caught.value.errno == errno.ENOTCONN
    assert os.listdir(tmp_path) == []


if __name__ == "__main__":
    serve(sys.argv[1])
