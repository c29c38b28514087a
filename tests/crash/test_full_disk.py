"""A disk that is full: refused before it is acknowledged, nothing lost, and on it goes."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import validate
from rig.mount import Mount
from rig.waiting import wait_until

MIB = 1 << 20

only_root = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/loop-control"),
    reason="only root makes filesystems on loop devices",
)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 96 MiB of its own."""
    image, place = tmp_path / "image", tmp_path / "volume"
    with open(image, "wb") as file:
        file.truncate(96 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m0", "-b4096", image], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def mount(volume: Path, tmp_path: Path) -> Iterator[Mount]:
    options = ("--gc-interval=86400", "--settle=0", "--hot-cache-size=1G")
    with Mount(volume / "store", tmp_path / "mnt", options) as mount:
        yield mount
    validate(volume / "store")


def fill(mount: Mount, size: int = MIB // 2, full: int = errno.ENOSPC) -> dict[str, bytes]:
    """Write files until one is refused; return those that were acknowledged."""
    written: dict[str, bytes] = {}
    while True:
        name, content = f"{len(written)}.bin", os.urandom(size)
        try:
            (mount.live / name).write_bytes(content)
        except OSError as error:
            assert error.errno == full
            (mount.live / name).unlink(missing_ok=True)
            return written
        written[name] = content


def assert_holds(mount: Mount, written: dict[str, bytes]) -> None:
    assert {path.name: path.read_bytes() for path in mount.live.iterdir()} == written


@only_root
def test_full_by_our_own_content_as_root(mount: Mount):
    written = fill(mount)
    assert len(written) > 100
    assert_holds(mount, written)
    free = os.statvfs(mount.live)
    assert free.f_bavail * free.f_frsize < 2 * MIB  # what df shows
    assert os.statvfs(mount.storage).f_bavail * free.f_frsize > 4 * MIB  # what is kept
    # Packing has room, and makes some: half of the content is there twice.
    mount.gc()
    assert_holds(mount, written)
    for name in sorted(written)[:20]:
        (mount.live / name).unlink()
        del written[name]
    mount.kill9()
    mount.start()
    assert_holds(mount, written)


@only_root
def test_filled_by_others_to_the_last_block_as_root(volume: Path, mount: Mount):
    written = {f"{n}.bin": os.urandom(MIB) for n in range(8)}
    for name, content in written.items():
        (mount.live / name).write_bytes(content)
    hog = volume / "hog"
    stuff(hog)
    refused = write_until_full(mount.live, written)
    (mount.live / refused).unlink(missing_ok=True)  # its name may still have had room
    assert_holds(mount, written)
    for name in ("0.bin", "1.bin"):  # logged with what is kept in reserve
        (mount.live / name).unlink()
        del written[name]
    os.truncate(mount.live / "2.bin", 10)
    written["2.bin"] = written["2.bin"][:10]
    os.rename(mount.live / "3.bin", mount.live / "4.bin")
    written["4.bin"] = written.pop("3.bin")
    assert_holds(mount, written)
    mount.kill9()
    mount.start()  # recovery has room too
    assert_holds(mount, written)
    hog.unlink()
    (mount.live / "more").write_bytes(b"it goes on")
    written["more"] = b"it goes on"
    mount.gc()
    assert_holds(mount, written)


def write_until_full(live: Path, written: dict[str, bytes]) -> str:
    """Write small files, since a block may come free meanwhile; return the name of the refused."""
    for number in range(10_000):
        name = f"more-{number}"
        try:
            (live / name).write_bytes(b"some more")
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return name
        written[name] = b"some more"
    raise AssertionError("there is always room")


def stuff(path: Path) -> None:
    """Fill a disk to its last block."""
    with open(path, "wb", buffering=0) as file:
        for size in (MIB, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


@only_root
def test_whatever_makes_something_is_refused_and_the_rest_goes_on_as_root(
    volume: Path, mount: Mount
):
    """A full disk takes no new name and no content; what is there can be changed and removed."""
    live = mount.live
    file, directory = live / "file", live / "directory"
    file.write_bytes(b"content")
    directory.mkdir()
    stuff(volume / "hog")
    makers: dict[str, Callable[[Path], object]] = {
        "open": lambda path: path.touch(),
        "mkdir": lambda path: path.mkdir(),
        "mkfifo": os.mkfifo,
        "mknod": lambda path: os.mknod(path, 0o060600, 0x701),
        "symlink": lambda path: path.symlink_to("target"),
        "link": lambda path: os.link(file, path),
        "write": lambda path: os.truncate(file, 0) or file.write_bytes(b"x" * 100_000),
    }
    for name, make in makers.items():
        with pytest.raises(OSError) as refused:
            for number in range(100_000):  # there may be room for a few
                make(live / f"{name}-{number}")
        assert refused.value.errno == errno.ENOSPC, name
    os.chmod(file, 0o600)
    os.chown(file, 1, 1)
    os.utime(file, (1, 2))
    os.truncate(file, 3)
    os.rename(file, live / "renamed")
    directory.rmdir()
    (live / "renamed").unlink()
    for path in live.iterdir():
        (os.rmdir if path.is_dir() and not path.is_symlink() else os.unlink)(path)
    (volume / "hog").unlink()
    wait_until(lambda: _makes(live / "again"), "the daemon to see that there is room")


def _makes(path: Path) -> bool:
    try:
        path.touch()
    except OSError:
        return False
    return True


@only_root
def test_packing_without_space_leaves_all_as_it_was_as_root(volume: Path, mount: Mount):
    written = {f"{n}.bin": os.urandom(MIB) for n in range(16)}
    for name, content in written.items():
        (mount.live / name).write_bytes(content)
    stuff(volume / "hog")
    os.unlink(mount.storage / "reserve")
    stuff(volume / "hog2")
    archives = sorted(os.listdir(mount.storage / "archives"))
    with pytest.raises(AssertionError, match=r"No space left|is full"):
        mount.gc()
    assert_holds(mount, written)
    assert sorted(os.listdir(mount.storage / "archives")) == archives
    (volume / "hog").unlink()
    (volume / "hog2").unlink()
    mount.gc()
    assert_holds(mount, written)
    assert sum(f.stat().st_size for f in (mount.storage / "hot").iterdir()) == 0


@only_root
def test_a_store_is_opened_on_a_full_disk_as_root(volume: Path, mount: Mount):
    (mount.live / "a").write_bytes(b"content")
    mount.unmount()
    os.unlink(mount.storage / "index.sqlite")
    stuff(volume / "hog")
    mount.start()  # the index is made anew, in the space kept in reserve
    assert_holds(mount, {"a": b"content"})
    (volume / "hog").unlink()
    wait_until((mount.storage / "reserve").exists, "the reserve to be there again")


@pytest.fixture
def quota(tmp_path: Path) -> Iterator[Path]:
    """A subvolume of a btrfs, of which its quota lets 24 MiB be used."""
    image, place = tmp_path / "image", tmp_path / "volume"
    with open(image, "wb") as file:
        file.truncate(512 * MIB)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, stdout=subprocess.DEVNULL)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        btrfs("quota", "enable", place)
        btrfs("subvolume", "create", place / "mine")
        limit(place / "mine", "24M")
        yield place / "mine"
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def btrfs(*arguments: object) -> None:
    subprocess.run(["btrfs", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def limit(place: Path, size: str) -> None:
    """Set the quota of a subvolume."""
    btrfs("qgroup", "limit", size, place)


@only_root
@pytest.mark.skipif(shutil.which("mkfs.btrfs") is None, reason="there is no mkfs.btrfs")
def test_a_quota_that_is_used_up_as_root(quota: Path, tmp_path: Path):
    """Quotas of btrfs: those of ext4 and XFS are in fewer kernels, and give the same error."""
    options = ("--gc-interval=86400", "--settle=0", "--hot-cache-size=1G")
    with Mount(quota / "store", tmp_path / "mnt", options) as mount:
        written = fill(mount, MIB, errno.EDQUOT)
        assert len(written) > 8
        assert_holds(mount, written)
        mount.kill9()
        try:
            mount.start()
        except AssertionError as refused:
            # Recovery writes what was not durable, and btrfs copies what is written over.
            assert "no room to open the store: free some megabytes" in str(refused)
            limit(quota, "64M")
            mount.start()
        assert_holds(mount, written)
        for name in sorted(written)[:5]:
            (mount.live / name).unlink()
            del written[name]
        assert_holds(mount, written)
        limit(quota, "200M")
        (mount.live / "more").write_bytes(b"it goes on")
        written["more"] = b"it goes on"
        mount.gc()
        assert_holds(mount, written)
    validate(quota / "store")


def test_few_descriptors(tmp_path: Path):
    """A daemon that may open few files serves all the same."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 64
    with Mount(tmp_path / "store", tmp_path / "mnt", ("--settle=0",)) as mount:
        mount.unmount()
        mount.program = ["prlimit", f"--nofile={few}:{few}", *mount.program]
        mount.start()
        written = {}
        for turn in range(12):
            for number in range(20):
                name, content = f"{turn}-{number}", os.urandom(2000)
                (mount.live / name).write_bytes(content)
                written[name] = content
            mount.gc()
        assert_holds(mount, written)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    validate(tmp_path / "store")


def test_too_few_descriptors(tmp_path: Path):
    mount = Mount(tmp_path / "store", tmp_path / "mnt")
    mount.mountpoint.mkdir()
    mount.program = ["prlimit", "--nofile=63:63", *mount.program]
    with pytest.raises(AssertionError, match="may open no more than 63 files here"):
        mount.start()
