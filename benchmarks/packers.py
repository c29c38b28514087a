"""What packs a tree, and what a run of it takes: ``djafs convert`` and its peers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

LEVEL = 9
SAMPLE_SECONDS = 0.02
"""Time between two looks at the memory of a run."""


@dataclass(frozen=True)
class Packer:
    """One way to pack ``source`` into what lies at ``target``, as one shell command."""

    key: str
    title: str
    needs: str
    command: Callable[[Path, Path], str]
    prepare: Callable[[Path], str] | None = None
    version: str = "--version"


PACKERS = (
    Packer(
        "djafs",
        f"djafs convert --compression-level {LEVEL}",
        "djafs",
        lambda s, t: f"djafs convert --compression-level {LEVEL} -i {s} -o {t}",
    ),
    Packer(
        "mksquashfs",
        f"mksquashfs -comp zstd, level {LEVEL}, -b 256K",
        "mksquashfs",
        lambda s, t: (
            f"mksquashfs {s} {t} -comp zstd -Xcompression-level {LEVEL} -b 256K"
            " -noappend -quiet -no-progress"
        ),
        version="-version",
    ),
    Packer(
        "tar",
        f"tar, zstd -{LEVEL} -T0",
        "zstd",
        lambda s, t: f"tar -cf - {s} | zstd -q -{LEVEL} -T0 -o {t}",
    ),
    Packer("zip", "zip -r", "zip", lambda s, t: f"cd {s} && zip -qr {t}.zip . && mv {t}.zip {t}"),
    Packer(
        "borg",
        f"borg create --compression zstd,{LEVEL}",
        "borg",
        lambda s, t: f"borg create --compression zstd,{LEVEL} {t}::a {s}",
        lambda t: f"borg init -e none {t}",
    ),
    Packer(
        "restic",
        "restic backup",
        "restic",
        lambda s, t: f"restic -q -r {t} backup {s}",
        lambda t: f"restic -q -r {t} init",
        version="version",
    ),
    Packer(
        "btrfs",
        f"rsync -a to btrfs, compress=zstd:{LEVEL}",
        "mkfs.btrfs",
        lambda s, t: f"rsync -a {s}/ {t}/mnt/ && sync -f {t}/mnt",
        lambda t: (
            f"mkdir -p {t}/mnt && truncate -s 8G {t}/image && mkfs.btrfs -q {t}/image"
            f" && mount -o loop,compress=zstd:{LEVEL} {t}/image {t}/mnt"
        ),
    ),
)


def usable(wanted: list[str]) -> tuple[list[Packer], dict[str, str]]:
    """Return those of ``wanted`` (all, if none are) that are to be had, and why others are not."""
    present, left_out = [], {}
    for packer in PACKERS:
        if wanted and packer.key not in wanted:
            continue
        if packer.key != "djafs" and shutil.which(packer.needs) is None:
            left_out[packer.title] = f"{packer.needs} is not installed"
        elif packer.key == "btrfs" and os.geteuid() != 0:
            left_out[packer.title] = "only root may mount it"
        else:
            present.append(packer)
    return present, left_out


def version_of(packer: Packer) -> str:
    """Return the first line with a number that a packer says about itself."""
    done = subprocess.run(
        [packer.needs, packer.version],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    lines = (done.stdout + done.stderr).splitlines()
    return next((line.strip() for line in lines if any(map(str.isdigit, line))), "")


@dataclass
class Result:
    """What a run took and left."""

    seconds: float
    cpu: float  # seconds of all processes
    memory: int  # bytes resident at most, of all processes together
    size: int  # bytes on disk


def run(packer: Packer, source: Path, target: Path) -> Result:
    """Pack a tree that lies in the kernel's cache."""
    subprocess.run(["tar", "-cf", "-", source], check=True, stdout=subprocess.PIPE)
    if packer.prepare is not None:
        shell(packer.prepare(target))
    subprocess.run(["sync", "-f", target.parent], check=True)
    began, before = time.monotonic(), os.times()
    memory = shell(packer.command(source, target))
    seconds, after = time.monotonic() - began, os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return Result(seconds, cpu, memory, size_of(target))


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RESTIC_PASSWORD": "benchmark",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }


def shell(command: str) -> int:
    """Run a command; return the memory that its processes took together, at most."""
    process = subprocess.Popen(
        ["bash", "-c", command], env=environment(), stdout=subprocess.DEVNULL
    )
    over = threading.Event()
    watch = _Watch(process.pid, over)
    watch.start()
    status = process.wait()
    over.set()
    watch.join()
    if status:
        raise SystemExit(f"{command}: exit status {status}")
    return watch.most


class _Watch(threading.Thread):
    """Adds up, some times a second, what a process and all below it have resident."""

    def __init__(self, pid: int, over: threading.Event) -> None:
        super().__init__()
        self._pid, self._over = pid, over
        self.most = 0

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.most = max(self.most, sum(map(_resident, _family(self._pid))))


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            for child in children:
                yield from _family(int(child))


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0


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
        "archives": sum(path.stat().st_size for path in store.glob("archives/*.tar.zst")),
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
