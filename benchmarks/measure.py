"""Reading the clocks and the gauges: client runs, memory of processes, space on disk, ratios."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import toolchain
from mounts import Mounted, MountError


@dataclass(frozen=True)
class Timing:
    """What the client reports of one phase, in microseconds per operation."""

    mean: float
    p50: float
    p99: float
    slowest: float


@dataclass(frozen=True)
class Load:
    """Files for the client to work on: how many in a directory, and the documents they get."""

    count: int
    blob: Path
    size: int


def run_client(
    where: Mounted, directory: Path, load: Load, first: int, phases: Sequence[str]
) -> dict[str, Timing]:
    """Run the client's phases (``PHASE[:LABEL[:REPEAT]]``) in a directory, in one process."""
    load_words = (load.count, load.blob, load.size, first)
    return timings_of(where, [toolchain.client(), directory, *load_words, *phases])


def make_directory(where: Mounted, name: str) -> Path:
    """Make a directory in the filesystem, by a client (the benchmark itself never waits on it)."""
    path = where.root / name
    where.run(["mkdir", "-p", path])
    return path


def timed(where: Mounted, command: Sequence[str | Path], said: list[str] | None = None) -> float:
    """Return the seconds that a command took from start to end, with everything it started.

    What it printed is added to *said*.
    """
    begin = time.perf_counter()
    out = where.run(command, timeout=3600)
    seconds = time.perf_counter() - begin
    if said is not None:
        said.append(out)
    return seconds


def expect_files(where: Mounted, path: Path, files: int) -> None:
    """Fail unless *path* holds exactly so many files."""
    found = len(where.run(["find", path, "-type", "f", "-printf", "."], timeout=3600))
    if found != files:
        raise MountError(f"{found} files found of {files}")


def can_drop_caches() -> bool:
    """Say whether the kernel's caches may be dropped (by root)."""
    return os.access("/proc/sys/vm/drop_caches", os.W_OK)


def drop_caches() -> None:
    """Have everything on the disk, and nothing of it in the kernel's memory."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as caches:
        caches.write("3\n")


@dataclass(frozen=True)
class Walked:
    """What reading a whole tree found, and how long it took."""

    files: int
    bytes: int
    sum: int
    """All bytes added up."""

    seconds: float


def walk(where: Mounted | None, path: Path) -> Walked:
    """Read every file of a tree, directory by directory."""
    command = [str(toolchain.reader()), "walk", str(path)]
    out = where.run(command, timeout=3600) if where else toolchain.run(*command)
    return Walked(**json.loads(out))


def paths(where: Mounted, root: Path, chosen: Path, steps: Sequence[str]) -> dict[str, Timing]:
    """Do each step (``STEP[:LABEL]``, see reader.c) for every path that a file lists."""
    return timings_of(where, [toolchain.reader(), "paths", root, chosen, *steps])


def stream(where: Mounted, step: str, path: Path, mib: int) -> Timing:
    """Write (or read) a large file; the timing is per MiB."""
    return timings_of(where, [toolchain.reader(), step, path, mib])[step]


def timings_of(where: Mounted, command: Sequence[object]) -> dict[str, Timing]:
    """Run a program that prints a line of JSON for each phase."""
    timings = {}
    for line in where.run([str(word) for word in command], timeout=3600).splitlines():
        said = json.loads(line)
        timings[said["label"]] = Timing(
            said["seconds"] / said["n"] * 1e6, said["p50"], said["p99"], said["max"]
        )
    return timings


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process, in bytes: now, and the most it ever was."""

    resident: int
    highest: int


def memory(pid: int) -> Memory | None:
    """Read VmRSS and VmHWM of a process; None if it has ended."""
    found = {}
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                name, _, rest = line.partition(":")
                if name in ("VmRSS", "VmHWM"):
                    found[name] = int(rest.split()[0]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        return None
    if len(found) != 2:
        return None
    return Memory(found["VmRSS"], found["VmHWM"])


def descendants(pid: int) -> list[int]:
    """List the processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def allocated(path: Path) -> int:
    """Add up the disk space (blocks, not sizes) of all that lies below a directory.

    Files come and go while this walks: what vanished in between took no space then either.
    """
    total = 0
    for parent, _, names in os.walk(path):
        for entry in (parent, *(os.path.join(parent, name) for name in names)):
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(entry).st_blocks * 512
    return total


@dataclass
class Sampler:
    """Reads a gauge again and again, in a thread, for as long as the ``with`` block runs."""

    gauge: Callable[[], float]
    interval: float = 0.1
    peak: float = 0
    series: list[tuple[float, float]] = field(default_factory=list)

    def __enter__(self) -> Sampler:
        self._done = threading.Event()
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._read()

    def _run(self) -> None:
        while not self._done.wait(self.interval):
            self._read()

    def _read(self) -> None:
        value = self.gauge()
        self.peak = max(self.peak, value)
        self.series.append((time.monotonic() - self._begin, value))


class Contention:
    """How much of the machine others took while we measured: what to blame for a wide spread."""

    def __init__(self) -> None:
        self._busy, self._ours, self._begin = busy_seconds(), our_seconds(), time.monotonic()

    def others(self) -> float:
        """Return the share of all cores' time that went to anything but us and our children."""
        passed = (time.monotonic() - self._begin) * (os.cpu_count() or 1)
        others = busy_seconds() - self._busy - (our_seconds() - self._ours)
        return max(0.0, others / passed)


def busy_seconds() -> float:
    """Return the time that the cores were busy or taken by the hypervisor, since boot."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (
            int(word) for word in stat.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def our_seconds() -> float:
    """Return the time that this process and its ended children were running."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, over the rounds of a run: least, median, most."""

    low: float
    median: float
    high: float


def speed_ratio(subject: Sequence[float], other: Sequence[float]) -> Ratio | None:
    """Compare times per operation, round by round: 2.0 says *subject* did twice as many.

    Rounds are compared within themselves because a machine's speed drifts between them.
    """
    each = [theirs / ours for ours, theirs in zip(subject, other, strict=False) if ours > 0]
    if not each:
        return None
    return Ratio(min(each), statistics.median(each), max(each))
