"""The filesystems that are compared, and how each is mounted.

A peer is data and a generator: :data:`PEERS` is the list in the order of the report. To add one,
write a function that mounts it and an entry there; :attr:`Peer.writable` and :attr:`Peer.make` say
what it can do, :attr:`Peer.only` what it is asked to. Those that hold a tree compressed are in
``images.py``.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import images
import mounts
import toolchain
import versions
from mounts import Mounted, serving

HERE = Path(__file__).resolve().parent
Mount = Callable[[Mounted], contextlib.AbstractContextManager[Mounted]]
Make = Callable[[Path, Path], None]
"""Fills a peer's backing directory with a tree that is then to be read."""


@contextlib.contextmanager
def native(where: Mounted) -> Iterator[Mounted]:
    """The disk's own filesystem."""
    where.root = where.backing
    yield where


def passthrough_ll(*options: str, hashed: bool = False) -> Mount:
    """libfuse's example, with the given ``-o`` options."""

    @contextlib.contextmanager
    def mount(where: Mounted) -> Iterator[Mounted]:
        where.root = where.mountpoint
        chosen = ",".join((f"source={where.backing}", *options))
        program = toolchain.passthrough_ll(hashed)
        with serving([program, "-f", "-o", chosen, where.mountpoint], where) as served:
            yield served

    return mount


@contextlib.contextmanager
def bindfs(where: Mounted) -> Iterator[Mounted]:
    """bindfs as it comes: single-threaded."""
    where.root = where.mountpoint
    command = [toolchain.program("bindfs"), "-f", where.backing, where.mountpoint]
    with serving(command, where) as served:
        yield served


@contextlib.contextmanager
def pyfuse3(where: Mounted) -> Iterator[Mounted]:
    """Our passthrough on pyfuse3."""
    where.root = where.mountpoint
    script = HERE / "passthrough_pyfuse3.py"
    command = [toolchain.pyfuse3_python(), script, where.backing, where.mountpoint, "1.0"]
    with serving(command, where) as served:
        yield served


@contextlib.contextmanager
def djafs(where: Mounted) -> Iterator[Mounted]:
    """djafs with the options it has by default."""
    where.root = where.mountpoint / "live"
    command = [toolchain.djafs(), "mount", "-f", *where.options, where.backing, where.mountpoint]
    with serving(command, where) as served:
        yield served


WRITTEN = ("operations", "tree", "rsync", "large", "durable")
"""Workloads of what is written; passthroughs have no say in what is archived."""


@dataclass(frozen=True)
class Peer:
    """One filesystem of the comparison."""

    key: str
    title: str
    options: str
    """How it is mounted and what it caches, for the report."""

    mount: Mount
    version: Callable[[], str] = lambda: ""
    """Its version; raises :class:`toolchain.UnavailableError` where it cannot be had."""

    build: Callable[[], object] = lambda: None
    """What must be compiled or installed first; raises :class:`toolchain.UnavailableError`."""

    make: Make | None = None
    """How it is filled with a tree to read; None: not made for that."""

    daemon: bool = True
    writable: bool = True
    slow: bool = False
    """Whether one round has to do."""

    default: bool = True
    """Whether it takes part unless others are asked for."""

    only: tuple[str, ...] = ()
    """The workloads it takes part in by default; empty: all."""


PEERS = (
    Peer(
        "native",
        "native",
        "the disk's own filesystem, no daemon",
        native,
        make=images.make_copy,
        daemon=False,
    ),
    Peer(
        "passthrough_ll",
        "passthrough_ll",
        "its defaults: `cache=auto`, entries and attributes valid for 1 s, pages dropped at open, "
        "no writeback, no xattrs, several threads",
        passthrough_ll(),
        version=versions.libfuse_version,
        build=toolchain.passthrough_ll,
        only=WRITTEN,
    ),
    Peer(
        "passthrough_ll_always",
        "passthrough_ll, cache=always",
        "`-o cache=always`: entries and attributes valid for a day, pages kept at open; "
        "otherwise as above",
        passthrough_ll("cache=always"),
        version=versions.libfuse_version,
        build=toolchain.passthrough_ll,
        only=WRITTEN,
    ),
    Peer(
        "passthrough_ll_hashed",
        "passthrough_ll, hashed inodes",
        "defaults, but inodes found in a hash table: the example walks a list of all inodes that "
        "the kernel knows, which tells in large trees",
        passthrough_ll(hashed=True),
        version=versions.libfuse_version,
        build=lambda: toolchain.passthrough_ll(True),
        only=("rsync", "tree"),
    ),
    Peer(
        "passthrough_ll_xattr",
        "passthrough_ll, xattr",
        "`-o xattr`: the kernel asks for security.capability at each first write",
        passthrough_ll("xattr"),
        version=versions.libfuse_version,
        build=toolchain.passthrough_ll,
        default=False,
    ),
    Peer(
        "bindfs",
        "bindfs",
        "its defaults: one thread, xattrs handed on",
        bindfs,
        version=versions.bindfs_version,
        only=WRITTEN,
    ),
    Peer(
        "pyfuse3",
        "pyfuse3 passthrough",
        "`passthrough_pyfuse3.py`: entries and attributes valid for 1 s, pages dropped at open, "
        "no FLUSH, no xattrs; trio, pyfuse3's default options",
        pyfuse3,
        version=toolchain.pyfuse3_versions,
        build=toolchain.pyfuse3_python,
        only=WRITTEN,
    ),
    Peer(
        "btrfs",
        "btrfs, zstd",
        "`compress=zstd`, in a file on the same disk through a loop device; in the kernel, no "
        "daemon",
        images.btrfs,
        version=lambda: versions.first_line("mkfs.btrfs", "--version"),
        build=toolchain.may_mount,
        make=images.make_btrfs,
        daemon=False,
        only=(*WRITTEN, "archived"),
    ),
    Peer(
        "squashfuse",
        "squashfuse",
        "`squashfuse_ll` on an image of `mksquashfs -comp zstd -Xcompression-level 9 -b 256K`",
        images.squashfuse,
        version=lambda: versions.first_line("mksquashfs", "-version"),
        build=lambda: toolchain.program("squashfuse_ll"),
        make=images.make_squashfs,
        writable=False,
        only=("archived",),
    ),
    Peer(
        "ratarmount",
        "ratarmount",
        "on a seekable `.tar.zst`: the archive of a djafs store, indexed before",
        images.ratarmount,
        version=toolchain.ratarmount_version,
        build=toolchain.ratarmount,
        make=images.make_tar,
        writable=False,
        slow=True,
        only=("archived",),
    ),
    Peer(
        "borg",
        "borg mount",
        "`borg mount` of an archive made with `--compression zstd,9`, not encrypted",
        images.borg,
        version=lambda: versions.first_line("borg", "--version"),
        build=lambda: toolchain.program("borg"),
        make=images.make_borg,
        writable=False,
        slow=True,
        only=("archived",),
    ),
    Peer(
        "restic",
        "restic mount",
        "`restic mount` of a snapshot, its own format and encryption",
        images.restic,
        version=lambda: versions.first_line("restic", "version"),
        build=lambda: toolchain.program("restic"),
        make=images.make_restic,
        writable=False,
        slow=True,
        only=("archived",),
    ),
    Peer(
        "djafs",
        "djafs",
        "its defaults: `djafs mount -f STORE MOUNTPOINT`, xattrs supported; measured in `live/`",
        djafs,
        version=versions.djafs_version,
        build=toolchain.djafs,
        make=images.make_store,
    ),
)


def named(keys: list[str]) -> list[Peer]:
    """Return the peers with these keys, or those that take part by default."""
    unknown = set(keys) - {peer.key for peer in PEERS}
    if unknown:
        known = ", ".join(peer.key for peer in PEERS)
        raise SystemExit(f"no peer is called {', '.join(sorted(unknown))} (there are: {known})")
    return [peer for peer in PEERS if (peer.key in keys if keys else peer.default)]


@dataclass(frozen=True)
class Place:
    """A directory of a peer's own, below which it is mounted."""

    backing: Path
    mountpoint: Path

    def mounted(self, cores: tuple[int, ...] | None, options: tuple[str, ...] = ()) -> Mounted:
        """Say what a mount of it is to be; *options* are for djafs."""
        return Mounted(self.mountpoint, self.backing, self.mountpoint, cores, options)


@contextlib.contextmanager
def place(peer: Peer, scratch: Path) -> Iterator[Place]:
    """Make an empty place for *peer* below *scratch*, and clear everything away afterwards.

    What others wrote before is on the disk by then, so that nobody pays for his predecessor.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"{peer.key}-", dir=scratch))
    made = Place(directory / "backing", directory / "mountpoint")
    made.backing.mkdir()
    made.mountpoint.mkdir()
    subprocess.run(["sync", "--file-system", str(scratch)], check=False)
    try:
        yield made
    finally:
        mounts.remove(directory)


@contextlib.contextmanager
def fresh(
    peer: Peer, scratch: Path, cores: tuple[int, ...] | None, *options: str
) -> Iterator[Mounted]:
    """Mount *peer* on an empty directory below *scratch*, and clear everything away afterwards."""
    with place(peer, scratch) as made, peer.mount(made.mounted(cores, options)) as where:
        yield where
