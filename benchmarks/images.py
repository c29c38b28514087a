"""Peers that hold a tree compressed: how each is filled, and how it is mounted to be read."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import mounts
import toolchain
from mounts import Mounted, serving

LEVEL = 9
"""The level of zstd for all that have one: djafs' own default."""

BTRFS_SIZE = 4 << 30
ENVIRONMENT = {
    "RESTIC_PASSWORD": "benchmark",
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
}


def fill(*command: str | Path) -> None:
    """Run a command that fills a peer."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, check=False, env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    if done.returncode:
        raise mounts.MountError(f"{command[0]}: {' / '.join(done.stderr.splitlines()[-3:])}")


def make_copy(tree: Path, backing: Path) -> None:
    """Copy the tree as it is, for native and for passthroughs."""
    fill("cp", "-a", f"{tree}/.", backing)


def make_store(tree: Path, backing: Path) -> None:
    """Bring the tree into a store, archived."""
    fill(toolchain.djafs(), "convert", "-i", tree, "-o", backing)


def make_squashfs(tree: Path, backing: Path) -> None:
    fill(
        "mksquashfs", tree, backing / "image.squashfs", "-comp", "zstd",
        "-Xcompression-level", str(LEVEL), "-b", "256K", "-noappend", "-quiet", "-no-progress",
    )  # fmt: skip


def make_tar(tree: Path, backing: Path) -> None:
    """Make a seekable ``.tar.zst`` with djafs, and index it as ratarmount does at a first mount."""
    store = backing / "store"
    make_store(tree, store)
    merging = backing / "merging"
    merging.mkdir()
    for words in (("mount", store), ("gc", "--compact"), ("umount",)):
        fill(toolchain.djafs(), *words, merging)
    archives = sorted((store / "archives").glob("*.tar.zst"))
    if len(archives) != 1:
        raise mounts.MountError(f"{len(archives)} archives: the tree is too large for one")
    archives[0].rename(backing / "tree.tar.zst")
    shutil.rmtree(store)
    point = backing / "indexing"
    point.mkdir()
    where = Mounted(point, backing, point, None)
    with ratarmount(where):
        where.run(["ls", point])


def make_borg(tree: Path, backing: Path) -> None:
    fill("borg", "init", "-e", "none", backing / "repository")
    fill(
        "sh", "-c", 'cd "$1" && borg create --compression zstd,9 "$2::tree" .', "sh",
        tree, backing / "repository",
    )  # fmt: skip


def make_restic(tree: Path, backing: Path) -> None:
    fill("restic", "-q", "-r", backing / "repository", "init")
    fill("sh", "-c", 'cd "$1" && restic -q -r "$2" backup .', "sh", tree, backing / "repository")


def make_btrfs(tree: Path, backing: Path) -> None:
    point = backing.parent / "filling"
    point.mkdir()
    with btrfs(Mounted(point, backing, point, None)):
        make_copy(tree, point)


@contextlib.contextmanager
def btrfs(where: Mounted) -> Iterator[Mounted]:
    """A btrfs in a file on the disk that is measured, which is made at the first mount."""
    where.root = where.mountpoint
    image = where.backing / "btrfs.img"
    if not image.exists():
        image.touch()
        os.truncate(image, BTRFS_SIZE)
        fill("mkfs.btrfs", "-q", image)
    fill("mount", "-o", "loop,compress=zstd", image, where.mountpoint)
    try:
        yield where
    finally:
        fill("umount", where.mountpoint)


@contextlib.contextmanager
def squashfuse(where: Mounted) -> Iterator[Mounted]:
    """The low-level and faster one of the two programs that squashfuse comes with."""
    where.root = where.mountpoint
    program = toolchain.program("squashfuse_ll")
    command = [program, "-f", where.backing / "image.squashfs", where.mountpoint]
    with serving(command, where) as served:
        yield served


@contextlib.contextmanager
def ratarmount(where: Mounted) -> Iterator[Mounted]:
    """ratarmount, on an index that was made before."""
    where.root = where.mountpoint
    command = [
        toolchain.ratarmount(), "-f", "--index-file", where.backing / "tree.index",
        where.backing / "tree.tar.zst", where.mountpoint,
    ]  # fmt: skip
    with serving(command, where) as served:
        yield served


@contextlib.contextmanager
def borg(where: Mounted) -> Iterator[Mounted]:
    where.root = where.mountpoint
    repository = f"{where.backing / 'repository'}::tree"
    command = ["borg", "mount", "-f", repository, where.mountpoint]
    with serving(command, where, environment=ENVIRONMENT) as served:
        yield served


@contextlib.contextmanager
def restic(where: Mounted) -> Iterator[Mounted]:
    command = ["restic", "-r", where.backing / "repository", "mount", where.mountpoint]
    where.root = where.mountpoint
    with serving(command, where, environment=ENVIRONMENT) as served:
        # The tree stands below the snapshot under its own path.
        top = where.mountpoint / "snapshots" / "latest"
        where.root = Path(where.run(["readlink", "-f", top]).strip())
        where.root = below(where)
        yield served


def below(where: Mounted) -> Path:
    """Go down where there is but one directory: restic keeps the source's whole path."""
    path = where.root
    while True:
        names = where.run(["ls", path]).split("\n")[:-1]
        if len(names) != 1 or names[0].startswith("station-"):
            return path
        path /= names[0]
