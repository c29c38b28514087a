"""What is measured. Each workload fills a :class:`Table`, or gauges of djafs alone.

Peers take turns within each round, in an order that moves on by one from round to round. Each
turn gets a fresh mount on an empty directory, runs everything once untimed, and is taken down
again: nobody's background work runs on another's time.
"""

# ruff: noqa: RUF001 - the times sign is meant

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import documents
import measure
import mounts
import peers
import toolchain
from measure import Load, Timing
from mounts import Mounted
from peers import Peer

BLOCK = 12 * 1024
"""Bytes of a file in the table of operations."""

OPERATIONS = {
    "create": "create + write + close, 12 KiB",
    "stat_new": "stat, first after that",
    "stat_warm": "stat, warm",
    "read_first": "open + read + close, first",
    "read_warm": "open + read + close, warm",
    "list_first": "list a directory of {files:,}, first",
    "list_warm": "list a directory of {files:,}, warm",
    "rename": "rename",
    "unlink": "unlink",
}
PHASES = (
    "create",
    "stat:stat_new",
    "stat:stat_warm:3",
    "read:read_first",
    "read:read_warm:3",
    "list:list_first",
    "list:list_warm:10",
    "verify",
    "rename",
    "unlink",
)
WARM_UP = ("create", "stat", "read:read:2", "list:list:2", "verify", "rename", "unlink")
SETTLED = 11.0
"""Seconds until content has come to rest (djafs' default is 10) and can be packed."""


@dataclass(frozen=True)
class Settings:
    """How much of everything."""

    rounds: int
    batches: int
    files: int
    rsync_files: int
    rsync_rounds: int
    memory_files: int
    disk_files: int
    modes: tuple[str, ...]
    only: tuple[str, ...]
    """The workloads to run."""


FULL = Settings(
    rounds=7, batches=3, files=1000, rsync_files=20_000, rsync_rounds=3, memory_files=100_000,
    disk_files=40_000, modes=("pinned", "unpinned"), only=(),
)  # fmt: skip
QUICK = Settings(
    rounds=3, batches=1, files=1000, rsync_files=4_000, rsync_rounds=1, memory_files=100_000,
    disk_files=10_000, modes=("pinned",), only=(),
)  # fmt: skip


@dataclass
class Table:
    """Times per operation in microseconds: for each row and peer, one value per round."""

    key: str
    title: str
    rows: dict[str, str]
    cells: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    tails: dict[tuple[str, str], list[Timing]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Peers that dropped out, and why."""

    def add(self, row: str, peer: str, value: float) -> None:
        self.cells.setdefault((row, peer), []).append(value)

    def median(self, row: str, peer: str) -> float | None:
        values = self.cells.get((row, peer))
        return statistics.median(values) if values else None


@dataclass
class Gauge:
    """One figure of djafs alone: a label, a value in its unit, and what it is a share of."""

    key: str
    title: str
    value: float
    unit: str
    of: str = ""


@dataclass
class Bench:
    """Everything a workload needs, and where its results go."""

    scratch: Path
    settings: Settings
    peers: list[Peer]
    explicit: bool
    """Whether the peers were chosen by hand: then all take part in everything."""

    core: int
    disk: str
    """What kind of disk the scratch directory is on."""

    tables: list[Table] = field(default_factory=list)
    gauges: list[Gauge] = field(default_factory=list)
    sources: list[documents.Tree] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    series: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def cores(self, mode: str) -> tuple[int, ...] | None:
        return (self.core,) if mode == "pinned" else None

    def taking_part(self, workload: str) -> list[Peer]:
        return [p for p in self.peers if self.explicit or not p.only or workload in p.only]

    def djafs(self) -> Peer | None:
        return next((peer for peer in self.peers if peer.key == "djafs"), None)


def say(text: str) -> None:
    """Tell whoever waits where the run is."""
    print(text, file=sys.stderr, flush=True)


def take_turns(
    bench: Bench,
    table: Table,
    rounds: int,
    cores: tuple[int, ...] | None,
    body: Callable[[Mounted, Peer], None],
) -> None:
    """Run *body* for each peer in each round, on a fresh mount; it adds to *table* at its end.

    A peer that fails is left out from then on and the table says why.
    """
    bench.tables.append(table)
    present = bench.taking_part(table.key.partition("-")[0])
    for number in range(rounds):
        say(f"{table.title}: round {number + 1} of {rounds}")
        shift = number % len(present)
        for peer in present[shift:] + present[:shift]:
            if peer.key in table.failed:
                continue
            try:
                with peers.fresh(peer, bench.scratch, cores) as where:
                    body(where, peer)
            except (mounts.MountError, subprocess.SubprocessError) as error:
                table.failed[peer.key] = str(error)
                say(f"  {peer.title} drops out: {error}")


def operations(bench: Bench) -> None:
    """Time single operations on small files, for every peer, pinned and unpinned."""
    settings = bench.settings
    blob = documents.write_blob(bench.scratch / "blob", settings.files, BLOCK)
    load = Load(settings.files, blob, BLOCK)
    # More files than any batch has: a multi-threaded daemon that holds a descriptor for each waits
    # 10 to 25 ms whenever its table of descriptors grows, which says nothing of the long run.
    warm_up = Load(settings.files * 5 // 4, blob, BLOCK)
    rows = {key: title.format(files=settings.files) for key, title in OPERATIONS.items()}
    for mode in settings.modes:
        table = Table(f"operations-{mode}", f"Operations, {mode}", rows)

        def turn(where: Mounted, peer: Peer, table: Table = table) -> None:
            directory = measure.make_directory(where, "warm-up")
            measure.run_client(where, directory, warm_up, 10**15, WARM_UP)
            batches = []
            for number in range(settings.batches):
                directory = measure.make_directory(where, f"batch-{number}")
                first = number * settings.files
                batches.append(measure.run_client(where, directory, load, first, PHASES))
            for row in rows:
                timings = [batch[row] for batch in batches]
                table.add(row, peer.key, statistics.fmean(t.mean for t in timings))
                table.tails.setdefault((row, peer.key), []).extend(timings)

        take_turns(bench, table, settings.rounds, bench.cores(mode), turn)


def rsync(bench: Bench) -> None:
    """Time ``rsync -a`` of many small files into every peer, then once more with nothing to do."""
    settings = bench.settings
    tree = documents.write_sensor_tree(bench.scratch / "rsync-source", settings.rsync_files)
    program = toolchain.program("rsync")
    rows = {
        "rsync": f"`rsync -a` of {tree.files:,} files, per file",
        "rsync_again": "the same again, nothing changed, per file",
    }
    for mode in settings.modes:
        table = Table(f"rsync-{mode}", f"rsync, {mode}", rows)

        def turn(where: Mounted, peer: Peer, table: Table = table) -> None:
            target = measure.make_directory(where, "target")
            command = [program, "-a", f"{tree.path}/", f"{target}/"]
            seconds = {row: measure.timed(where, command) for row in rows}
            expect_files(where, target, tree.files)
            for row, value in seconds.items():
                table.add(row, peer.key, value / tree.files * 1e6)

        take_turns(bench, table, settings.rsync_rounds, bench.cores(mode), turn)


def expect_files(where: Mounted, path: Path, files: int) -> None:
    """Fail unless *path* holds exactly so many files."""
    found = len(where.run(["find", path, "-type", "f", "-printf", "."]))
    if found != files:
        raise mounts.MountError(f"{found} files found of {files}")


def daemon_memory(bench: Bench) -> None:
    """Read the daemon's resident memory after many files were made, walked, read and packed."""
    peer = bench.djafs()
    if peer is None:
        return
    per_directory = 1000
    total = bench.settings.memory_files
    blob = documents.write_blob(bench.scratch / "small-blob", per_directory, documents.SMALL)
    load = Load(min(per_directory, total), blob, documents.SMALL)
    say(f"memory: {total:,} files")
    with peers.fresh(peer, bench.scratch, None) as where:
        assert where.daemon is not None
        pid = where.daemon.pid
        directories = [
            where.root / f"station-{number:04d}" for number in range(-(-total // load.count))
        ]
        where.run(["mkdir", *directories])

        def note(key: str, what: str) -> None:
            now = measure.memory(pid)
            if now is None:
                raise mounts.MountError("the daemon ended: " + " / ".join(where.last_words()))
            bench.gauges.append(
                Gauge(f"rss-{key}", f"daemon resident, {what}", now.resident / 1e6, "MB")
            )
            bench.gauges.append(
                Gauge(f"hwm-{key}", f"daemon at its highest, {what}", now.highest / 1e6, "MB")
            )

        note("start", "just mounted")
        for number, directory in enumerate(directories):
            measure.run_client(where, directory, load, number * load.count, ["create"])
        note("made", f"after {total:,} files were made")
        expect_files(where, where.root, load.count * len(directories))
        for number, directory in enumerate(directories):
            measure.run_client(where, directory, load, number * load.count, ["verify"])
        note("read", "and walked and read")
        packer = pack(where)
        note("packed", "and packed")
        bench.gauges.append(Gauge("packer", "its packer at the highest", packer / 1e6, "MB"))


def pack(where: Mounted) -> int:
    """Wait until all has settled, pack it, and return the packer's highest resident memory."""
    assert where.daemon is not None
    pid = where.daemon.pid

    def largest_child() -> int:
        found = (measure.memory(child) for child in measure.descendants(pid))
        return max((each.highest for each in found if each is not None), default=0)

    with measure.Sampler(largest_child) as sampler:
        time.sleep(SETTLED)
        say(where.run([toolchain.djafs(), "gc", where.mountpoint]).strip())
    return sampler.peak


def disk(bench: Bench) -> None:
    """Follow the space that a store takes while a tree is brought in, and while it is packed."""
    peer = bench.djafs()
    if peer is None:
        return
    generated = documents.write_sensor_tree(
        bench.scratch / "disk-source", bench.settings.disk_files
    )
    real = documents.unpack_corpus("pokeapi", bench.scratch / "disk-pokeapi")
    if real is None:
        bench.notes.append("No real documents at hand: disk use measured on generated ones only.")
    for tree in (generated, real):
        if tree is None:
            continue
        bench.sources.append(tree)
        say(f"disk: {tree.name}")
        with peers.fresh(peer, bench.scratch, None) as where:
            bring_in(bench, where, tree)


def bring_in(bench: Bench, where: Mounted, tree: documents.Tree) -> None:
    """Sample a store while ``rsync -a`` fills it and packing follows; gauges by content bytes."""
    program = toolchain.program("rsync")

    def store() -> int:
        return measure.allocated(where.backing)

    with measure.Sampler(store, 0.05) as filling:
        where.run([program, "-a", f"{tree.path}/", f"{where.root}/"])
    with measure.Sampler(store, 0.05) as packing:
        pack(where)
    expect_files(where, where.root, tree.files)
    time.sleep(2)  # what packing made superfluous goes shortly after
    after = store()
    name = tree.name.split()[0]
    bench.series[name] = filling.series + [
        (filling.series[-1][0] + at, value) for at, value in packing.series
    ]
    for key, what, value in (
        ("rsync", "peak during rsync", filling.peak),
        ("peak", "peak of all, packing included", max(filling.peak, packing.peak)),
        ("packed", "after packing", after),
    ):
        title = f"{tree.name}: {what}"
        bench.gauges.append(
            Gauge(f"disk-{key}-{name}", title, value / tree.size, "×", "the source's bytes")
        )
        bench.gauges.append(
            Gauge(f"disk-{key}-{name}-du", title, value / tree.allocated, "×", "the source's `du`")
        )


WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "operations": operations,
    "rsync": rsync,
    "memory": daemon_memory,
    "disk": disk,
}


def run_all(bench: Bench) -> None:
    """Run the chosen workloads; one that fails is noted and does not stop the others."""
    for name, workload in WORKLOADS.items():
        if bench.settings.only and name not in bench.settings.only:
            continue
        try:
            workload(bench)
        except (mounts.MountError, toolchain.UnavailableError, subprocess.SubprocessError) as error:
            bench.notes.append(f"{name} was not finished: {error}")
            say(f"{name} was not finished: {error}")


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Check names of workloads given by hand."""
    unknown = set(names) - set(WORKLOADS)
    if unknown:
        raise SystemExit(f"no workload is called {', '.join(sorted(unknown))}")
    return tuple(names)
