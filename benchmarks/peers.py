"""The filesystems that are compared, and how each is mounted.

A peer is data and one generator: :data:`PEERS` is the list in the order of the report. To add
one, write a function that mounts it and a line there; what it cannot do (a read-only image, say)
goes into :attr:`Peer.writable`, and workloads choose by it.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mounts
import toolchain
from mounts import Mounted, serving

HERE = Path(__file__).resolve().parent
Mount = Callable[[Mounted], contextlib.AbstractContextManager[Mounted]]


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
    command = [toolchain.djafs(), "mount", "-f", where.backing, where.mountpoint]
    with serving(command, where) as served:
        yield served


def libfuse_version() -> str:
    return "libfuse " + toolchain.run("pkg-config", "--modversion", "fuse3").strip()


def bindfs_version() -> str:
    return toolchain.run(toolchain.program("bindfs"), "--version").strip()


def djafs_version() -> str:
    """What djafs says of itself, and the commit if this is a checkout."""
    words = toolchain.run(toolchain.djafs(), "--version").strip()
    with contextlib.suppress(toolchain.UnavailableError):
        words += (
            " · commit "
            + toolchain.run(
                "git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"
            ).strip()
        )
    return words


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

    daemon: bool = True
    writable: bool = True
    default: bool = True
    """Whether it takes part unless others are asked for."""

    only: tuple[str, ...] = ()
    """The workloads it takes part in by default; empty: all."""


PEERS = (
    Peer("native", "native", "the disk's own filesystem, no daemon", native, daemon=False),
    Peer(
        "passthrough_ll",
        "passthrough_ll",
        "its defaults: `cache=auto`, entries and attributes valid for 1 s, pages dropped at open, "
        "no writeback, no xattrs, several threads",
        passthrough_ll(),
        version=libfuse_version,
        build=toolchain.passthrough_ll,
    ),
    Peer(
        "passthrough_ll_always",
        "passthrough_ll, cache=always",
        "`-o cache=always`: entries and attributes valid for a day, pages kept at open; "
        "otherwise as above",
        passthrough_ll("cache=always"),
        version=libfuse_version,
        build=toolchain.passthrough_ll,
    ),
    Peer(
        "passthrough_ll_hashed",
        "passthrough_ll, hashed inodes",
        "defaults, but inodes found in a hash table: the example walks a list of all inodes that "
        "the kernel knows, which tells in large trees",
        passthrough_ll(hashed=True),
        version=libfuse_version,
        build=lambda: toolchain.passthrough_ll(True),
        only=("rsync",),
    ),
    Peer(
        "passthrough_ll_xattr",
        "passthrough_ll, xattr",
        "`-o xattr`: the kernel asks for security.capability at each first write",
        passthrough_ll("xattr"),
        version=libfuse_version,
        build=toolchain.passthrough_ll,
        default=False,
    ),
    Peer(
        "bindfs",
        "bindfs",
        "its defaults: one thread, xattrs handed on",
        bindfs,
        version=bindfs_version,
    ),
    Peer(
        "pyfuse3",
        "pyfuse3 passthrough",
        "`passthrough_pyfuse3.py`: entries and attributes valid for 1 s, pages dropped at open, "
        "no FLUSH, no xattrs; trio, pyfuse3's default options",
        pyfuse3,
        version=toolchain.pyfuse3_versions,
        build=toolchain.pyfuse3_python,
    ),
    Peer(
        "djafs",
        "djafs",
        "its defaults: `djafs mount -f STORE MOUNTPOINT`, xattrs supported; measured in `live/`",
        djafs,
        version=djafs_version,
        build=toolchain.djafs,
    ),
)


def named(keys: list[str]) -> list[Peer]:
    """Return the peers with these keys, or those that take part by default."""
    unknown = set(keys) - {peer.key for peer in PEERS}
    if unknown:
        known = ", ".join(peer.key for peer in PEERS)
        raise SystemExit(f"no peer is called {', '.join(sorted(unknown))} (there are: {known})")
    return [peer for peer in PEERS if (peer.key in keys if keys else peer.default)]


@contextlib.contextmanager
def fresh(peer: Peer, scratch: Path, cores: tuple[int, ...] | None) -> Iterator[Mounted]:
    """Mount *peer* on an empty directory below *scratch*, and clear everything away afterwards.

    What others wrote before is on the disk by then, so that nobody pays for his predecessor.
    """
    place = Path(tempfile.mkdtemp(prefix=f"{peer.key}-", dir=scratch))
    backing, mountpoint = place / "backing", place / "mountpoint"
    backing.mkdir()
    mountpoint.mkdir()
    subprocess.run(["sync", "--file-system", str(scratch)], check=False)
    try:
        with peer.mount(Mounted(mountpoint, backing, mountpoint, cores)) as where:
            yield where
    finally:
        mounts.remove(place)
