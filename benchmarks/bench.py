"""What every workload works with: the amounts, tables and gauges of results, and turns of peers.

Peers take turns within each round, and the order moves on by one from round to round. Every turn
starts on a fresh mount with an empty directory and is taken down again: nobody's background work
runs on another's time.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import documents
import measure
import mounts
import peers
from measure import Timing
from mounts import Mounted
from peers import Peer


@dataclass(frozen=True)
class Settings:
    """How much of everything."""

    rounds: int
    batches: int
    files: int
    durable_files: int
    durable_rounds: int
    tree_files: int
    """Files of the one large tree that files are created in."""

    rsync_files: int
    rsync_rounds: int
    memory_files: int
    disk_files: int
    archived_files: int
    archived_rounds: int
    random_reads: int
    stream_mib: int
    """Size of the large file; below twice the hot cache, or packing sets the pace."""

    sizes_files: int
    scale_files: tuple[int, ...]
    """Sizes of the generated stores, ascending; the last one against the first."""

    first_answer_files: int
    past_files: int
    ingest_seconds: int
    modes: tuple[str, ...]

    def in_mode(self, rounds: int, mode: str) -> int:
        """Return how many rounds to run: unpinned, whose ratios prove less, half of them."""
        return rounds if mode == self.modes[0] else max(1, rounds // 2)


FULL = Settings(
    rounds=7, batches=3, files=1000, durable_files=200, durable_rounds=5,
    tree_files=100_000, rsync_files=20_000, rsync_rounds=3,
    memory_files=1_000_000, disk_files=40_000, archived_files=20_000, archived_rounds=3,
    random_reads=4_000, stream_mib=96, sizes_files=100_000,
    scale_files=(10_000, 100_000, 1_000_000, 10_000_000), first_answer_files=1_000_000,
    past_files=100_000, ingest_seconds=600, modes=("pinned", "unpinned")
)  # fmt: skip
QUICK = Settings(
    rounds=2, batches=1, files=1000, durable_files=50, durable_rounds=1,
    tree_files=5_000, rsync_files=2_000, rsync_rounds=1,
    memory_files=20_000, disk_files=5_000, archived_files=2_000, archived_rounds=1,
    random_reads=500, stream_mib=64, sizes_files=10_000, scale_files=(10_000, 50_000),
    first_answer_files=50_000, past_files=10_000, ingest_seconds=10, modes=("pinned",)
)  # fmt: skip


@dataclass
class Table:
    """Times per operation in microseconds: for each row and column, one value per round.

    A column is a peer, or whatever else is compared.
    """

    key: str
    title: str
    rows: dict[str, str]
    columns: dict[str, str] = field(default_factory=dict)
    subject: str = "djafs"
    """The column that the others are held against."""

    about: str = ""
    """What a reader has to know of it."""

    cells: dict[str, list[float]] = field(default_factory=dict)
    """By ``ROW/COLUMN``."""

    tails: dict[str, list[Timing]] = field(default_factory=dict)
    """By ``ROW/COLUMN``, where single operations are of interest."""

    failed: dict[str, str] = field(default_factory=dict)
    """Columns that dropped out, and why."""

    def add(self, row: str, column: str, value: float) -> None:
        self.cells.setdefault(f"{row}/{column}", []).append(value)

    def values(self, row: str, column: str) -> list[float]:
        return self.cells.get(f"{row}/{column}", [])

    def add_tail(self, row: str, column: str, timings: list[Timing]) -> None:
        self.tails.setdefault(f"{row}/{column}", []).extend(timings)

    def median(self, row: str, column: str) -> float | None:
        values = self.values(row, column)
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
    tables: list[Table] = field(default_factory=list)
    gauges: list[Gauge] = field(default_factory=list)
    sources: list[documents.Tree] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    """Requests of the kernel for each operation, by the name of their opcode."""

    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """What was followed over time: seconds since the beginning, and a value."""

    def cores(self, mode: str) -> tuple[int, ...] | None:
        return (self.core,) if mode == "pinned" else None

    def taking_part(self, workload: str) -> list[Peer]:
        return [
            peer
            for peer in self.peers
            if (self.explicit and peer.writable) or not peer.only or workload in peer.only
        ]

    def djafs(self) -> Peer | None:
        return next((peer for peer in self.peers if peer.key == "djafs"), None)

    def gauge(self, key: str, title: str, value: float, unit: str, of: str = "") -> None:
        """Note a figure, and say it."""
        self.gauges.append(Gauge(key, title, value, unit, of))
        say(f"  {title}: {value:,.3g} {unit} {of}".rstrip())


@dataclass(frozen=True)
class Turn:
    """One peer's turn: a place of its own, empty at the beginning, to be mounted."""

    peer: Peer
    place: peers.Place
    cores: tuple[int, ...] | None

    def mounted(self, *options: str) -> contextlib.AbstractContextManager[Mounted]:
        """Mount it; again and again if need be."""
        return self.peer.mount(self.place.mounted(self.cores, options))

    def mounted_cold(self) -> contextlib.AbstractContextManager[Mounted]:
        """Mount it with a new daemon, and with nothing in the caches."""
        measure.drop_caches()
        return self.mounted()


UNDISTURBED = ("--gc-interval", "86400", "--hot-cache-size", "4G")
"""Options of djafs that keep it from packing."""


def say(text: str) -> None:
    """Tell whoever waits where the run is."""
    print(text, file=sys.stderr, flush=True)


def take_turns(
    bench: Bench, table: Table, rounds: int, mode: str, body: Callable[[Turn], None]
) -> None:
    """Run *body* for each peer in each round; it adds to *table* at its end.

    A peer that fails is left out from then on and the table says why.
    """
    bench.tables.append(table)
    present = bench.taking_part(table.key.partition("-")[0])
    table.columns.update({peer.key: peer.title for peer in present})
    for number in range(rounds):
        say(f"{table.title}: round {number + 1} of {rounds}")
        shift = number % len(present)
        for peer in present[shift:] + present[:shift]:
            if peer.key in table.failed or (number and peer.slow):
                continue
            try:
                with peers.place(peer, bench.scratch) as place:
                    body(Turn(peer, place, bench.cores(mode)))
            except (mounts.MountError, subprocess.SubprocessError) as error:
                table.failed[peer.key] = str(error)
                say(f"  {peer.title} drops out: {error}")
