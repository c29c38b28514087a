"""Compare ``djafs convert`` with what else packs a tree, and print a table.

    python benchmarks/convert.py [--files N] [--rounds N] [--dir DIR] [--peer NAME]...

Every peer packs the same trees in the same run, one after the other and round by round, so that
whatever else the machine does falls on all of them. The best round counts. Peers that are not
installed are left out; ``btrfs`` needs root and btrfs-progs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import documents

LEVEL = 9
LARGE = 12 << 10
"""Bytes of a document of the second set."""

Words = list[str | Path]


@dataclass(frozen=True)
class Peer:
    """One way to pack ``source`` into what lies at ``target``, as one shell command."""

    name: str
    needs: str
    command: Callable[[Path, Path], str]
    prepare: Callable[[Path], str] | None = None


PEERS = (
    Peer("djafs convert", "djafs", lambda s, t: f"djafs convert -i {s} -o {t}"),
    Peer(
        "mksquashfs -comp zstd",
        "mksquashfs",
        lambda s, t: (
            f"mksquashfs {s} {t} -comp zstd -Xcompression-level {LEVEL} -b 256K"
            " -noappend -quiet -no-progress"
        ),
    ),
    Peer("tar, zstd -T0", "zstd", lambda s, t: f"tar -cf - {s} | zstd -q -{LEVEL} -T0 -o {t}"),
    Peer("zip -r", "zip", lambda s, t: f"cd {s} && zip -qr {t}.zip . && mv {t}.zip {t}"),
    Peer(
        "borg create",
        "borg",
        lambda s, t: f"borg create --compression zstd,{LEVEL} {t}::a {s}",
        lambda t: f"borg init -e none {t}",
    ),
    Peer(
        "restic backup",
        "restic",
        lambda s, t: f"restic -q -r {t} backup {s}",
        lambda t: f"restic -q -r {t} init",
    ),
    Peer(
        "rsync to btrfs, zstd",
        "mkfs.btrfs",
        lambda s, t: f"rsync -a {s}/ {t}/mnt/ && sync -f {t}/mnt",
        lambda t: (
            f"mkdir -p {t}/mnt && truncate -s 4G {t}/image && mkfs.btrfs -q {t}/image"
            f" && mount -o loop,compress=zstd:{LEVEL} {t}/image {t}/mnt"
        ),
    ),
)


@dataclass
class Result:
    """What a run took and left."""

    seconds: float
    cpu: float  # seconds of all processes
    memory: int  # bytes at most, of the largest process
    size: int  # bytes on disk


def run(peer: Peer, source: Path, target: Path) -> Result:
    """Pack a tree that lies in the kernel's cache."""
    subprocess.run(["tar", "-cf", "/dev/null", source], check=True, stderr=subprocess.DEVNULL)
    if peer.prepare is not None:
        shell(peer.prepare(target))
    began, before = time.monotonic(), os.times()
    peak = shell(peer.command(source, target))
    seconds, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Result(seconds, cpu, peak, size_of(target))


def shell(command: str) -> int:
    """Run a command; return the memory that its largest process took."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RESTIC_PASSWORD": "benchmark",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    process = subprocess.Popen(["bash", "-c", command], env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit status {process.returncode}")
    return usage.ru_maxrss << 10


def size_of(target: Path) -> int:
    """Return the bytes that something takes: of a btrfs, what it has in use."""
    mounted = target / "mnt"
    if mounted.is_mount():
        status = os.statvfs(mounted)
        return (status.f_blocks - status.f_bfree) * status.f_frsize
    paths = [target, *target.rglob("*")] if target.is_dir() else [target]
    return sum(path.lstat().st_size for path in paths if path.is_file())


def parts_of(store: Path) -> dict[str, int]:
    """Return the bytes of a store's archives, log and index."""
    return {
        "archives": size_of(store / "archives"),
        "lookup log": size_of(store / "lookups"),
        "index": sum(path.stat().st_size for path in store.glob("index.sqlite*")),
    }


@contextmanager
def emptied(target: Path) -> Iterator[Path]:
    """Give a path at which nothing is, and leave nothing there."""
    try:
        yield target
    finally:
        if (target / "mnt").is_mount():
            subprocess.run(["umount", target / "mnt"], check=True)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def write_large_tree(where: Path, files: int) -> documents.Tree:
    """Write documents of about 12 KB, one directory a station."""
    for number in range(files):
        rng = random.Random(f"large document {number}")
        path = where / f"station-{number % 40:03d}" / f"{number // 40:05d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = documents.sensor_document(rng, number % 40, documents.FIRST_DAY, LARGE)
        path.write_bytes(text)
    return documents.weigh("large documents", where)


def compare(tree: documents.Tree, peers: list[Peer], rounds: int, build: Path) -> None:
    """Run all peers on one tree, and print their table."""
    best: dict[str, Result] = {}
    parts: dict[str, int] = {}
    for _ in range(rounds):
        for peer in peers:
            with emptied(build / "target") as target:
                result = run(peer, tree.path, target)
                if peer.needs == "djafs":
                    parts = parts_of(target)
                if peer.name not in best or result.seconds < best[peer.name].seconds:
                    best[peer.name] = result
    print(f"\n{tree.name}: {tree.files:,} files, {tree.size / 1e6:.1f} MB\n")
    print("| | files/s | seconds | CPU seconds | MB | peak memory, MB |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, result in best.items():
        print(
            f"| {name} | {tree.files / result.seconds:,.0f} | {result.seconds:.1f} |"
            f" {result.cpu:.1f} | {result.size / 1e6:.1f} | {result.memory / 1e6:.0f} |"
        )
    for name, size in parts.items():
        print(f"\ndjafs, {name}: {size / 1e6:.2f} MB, {size / tree.files:.0f} bytes a file", end="")
    print(flush=True)


def main() -> None:
    """Generate the trees and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=documents.HERE / "build")
    parser.add_argument("--peer", action="append", default=[], help="only this one")
    given = parser.parse_args()
    build = given.dir.resolve() / "convert"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    peers = []
    for peer in PEERS:
        usable = peer.needs == "djafs" or shutil.which(peer.needs)
        allowed = peer.needs != "mkfs.btrfs" or os.geteuid() == 0
        if usable and allowed and (not given.peer or peer.name in given.peer):
            peers.append(peer)
    try:
        compare(
            documents.write_sensor_tree(build / "sensor", given.files, 100),
            peers,
            given.rounds,
            build,
        )
        compare(write_large_tree(build / "large", given.files // 10), peers, given.rounds, build)
    finally:
        shutil.rmtree(build)


if __name__ == "__main__":
    main()
