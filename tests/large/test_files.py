"""Files larger than memory, and of a gigabyte (``make large``; smaller ones in ``make test``)."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.amount import large
from rig.memory_group import MemoryGroup, memory_group
from rig.mount import Mount
from rig.waiting import wait_until

MIB = 1 << 20

pytestmark = pytest.mark.timeout(large(120, 3600))


def stored(mount: Mount, *parts: str) -> int:
    """Return how many bytes parts of a store hold; by default those with content."""
    files = [
        path for part in parts or ("hot", "archives") for path in (mount.storage / part).iterdir()
    ]
    return sum(path.stat().st_size for path in files)


def write(path: Path, size: int) -> str:
    """Write so many bytes, none like the other; return their digest."""
    dice, digest = random.Random(1), hashlib.sha256()
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // MIB):
            block = dice.randbytes(MIB)
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """Return the digest of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def within(group: MemoryGroup, function: Callable[[], str]) -> str:
    """Return what ``function`` returns in a child that is a member of ``group``."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            group.join()
            os.write(writing, function().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as said:
        outcome = said.read()
    os.waitpid(child, 0)
    return outcome


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes control groups")
def test_a_file_larger_than_memory(store: Path, tmp_path: Path, say: Callable[[str], None]):
    """Daemon, packer, writer and reader together have less memory than the file has bytes."""
    limit, size = large(128, 256) * MIB, large(160, 3072) * MIB
    options = ("--gc-interval=86400", "--settle=0", "--hot-cache-size=100G")
    mount = Mount(store, tmp_path / "mnt", options, seconds=large(100, 3500))
    with memory_group("djafs-test", limit) as group:
        mount.program = group.joining(mount.program)
        with mount:
            path = mount.live / "large"
            written = within(group, lambda: write(path, size))
            assert within(group, lambda: digest_of(path)) == written
            mount.gc()
            os.posix_fadvise(descriptor := os.open(path, os.O_RDONLY), 0, 0, 4)
            os.close(descriptor)
            assert within(group, lambda: digest_of(path)) == written
            assert group.kills() == 0
    say(f"{size // MIB} MiB were written, packed and read in {limit // MIB} MiB of memory")


def test_lines_appended_to_a_large_archived_file(
    mount_store: Callable[..., Mount], say: Callable[[str], None]
):
    """Nothing of it is packed again, although the daemon packs after each."""
    size, lines = large(4, 1024) * MIB + 5 * MIB, large(3, 60)
    mounted = mount_store("--gc-interval=0.2", "--settle=0")
    path = mounted.live / "log"
    written = write(path, size)
    mounted.gc()
    before = stored(mounted)
    for number in range(lines):
        with open(path, "ab", buffering=0) as file:
            file.write(b"line %d\n" % number)
        packings(mounted, 2)
    growth = stored(mounted) - before
    appended = b"".join(b"line %d\n" % number for number in range(lines))
    assert growth < lines * 8192
    mounted.remount()
    with open(path, "rb") as file:
        file.seek(size)
        assert file.read() == appended
    os.truncate(path, size)
    assert digest_of(path) == written
    say(
        f"{lines} lines, {len(appended)} bytes, were appended to {size // MIB} MiB,"
        f" and the daemon packed after each: the store grew by {growth:,} bytes"
    )


def packings(mount: Mount, count: int) -> None:
    """Return when the daemon has packed so many times more: a file of a moment shows that."""
    for number in range(count):
        (mount.live / f"passing{number}").write_bytes(os.urandom(16))
        before = archives(mount)
        wait_until(lambda seen=before: archives(mount) - seen, "the daemon to pack")


def archives(mount: Mount) -> set[str]:
    """Return the names of a store's archives."""
    return {path.name for path in (mount.storage / "archives").glob("*.tar.zst")}


@pytest.mark.skipif("DJAFS_LARGE" not in os.environ, reason="writes 5 GiB: make large")
def test_content_beyond_4_gib(mounted: Mount, say: Callable[[str], None]):
    """Not a hole: every byte below and above is there, hot and archived."""
    path, size = mounted.live / "huge", 5 << 30
    began = time.monotonic()
    written = write(path, size)
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 == size
    mounted.gc()
    mounted.remount()
    assert digest_of(path) == written
    with open(path, "r+b", buffering=0) as file:
        file.seek((4 << 30) - 3)
        file.write(b"across")
        assert os.pread(file.fileno(), 8, (4 << 30) - 4)[1:7] == b"across"
    say(f"5 GiB were written, packed and read in {time.monotonic() - began:.0f} s")
