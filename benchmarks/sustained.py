"""Writing while djafs packs: the slowest creates beside a packing, and ingest without end."""

# ruff: noqa: RUF001 - the times sign is meant

from __future__ import annotations

import subprocess
import threading
import time
from dataclasses import dataclass, field

import documents
import measure
import mounts
import peers
import toolchain
from bench import UNDISTURBED, Bench, Table, say
from measure import Load, Timing
from mounts import Mounted

BLOCK = 12 * 1024
BATCH = 1000
BACKLOG = 6000
"""Files that wait to be packed when the clock runs: some 70 MB."""

WRITERS = 4
SIZE = "64M"
"""The hot cache's size, as it is by default."""


def beside_packing(bench: Bench) -> None:
    """Compare the slowest creates while packing runs with those without."""
    peer = bench.djafs()
    if peer is None:
        return
    blob = documents.write_blob(bench.scratch / "tail-blob", BATCH, BLOCK)
    load = Load(BATCH, blob, BLOCK)
    rows = {"p99": "create + write + close, 12 KiB: 99 %", "mean": "the same, mean"}
    columns = {"beside": "while packing runs", "alone": "without"}
    for mode in bench.settings.modes:
        table = Table(
            f"beside-{mode}",
            f"Creating while packing runs, {mode}",
            rows,
            columns,
            subject="beside",
            about=f"`djafs gc` packs {BACKLOG:,} files meanwhile. Pinned, the packer is held to "
            "the same core as client and daemon.",
        )
        bench.tables.append(table)
        say(table.title)
        for _ in range(bench.settings.in_mode(3, mode)):
            with peers.fresh(peer, bench.scratch, bench.cores(mode), *UNDISTURBED) as where:
                for column, timings in one_packing(where, load).items():
                    table.add_tail("create", column, timings)
                    table.add("p99", column, percentile(timings))
                    mean = sum(t.mean for t in timings) / len(timings)
                    table.add("mean", column, mean)


def one_packing(where: Mounted, load: Load) -> dict[str, list[Timing]]:
    """Create without, and then while `djafs gc` is at work."""
    number = 0

    def batch() -> Timing:
        nonlocal number
        directory = measure.make_directory(where, f"batch-{number:05d}")
        number += 1
        return measure.run_client(where, directory, load, number * load.count, ["create"])["create"]

    alone = [batch() for _ in range(BACKLOG // load.count)][1:]
    time.sleep(1.5)  # until gc takes them as settled
    with mounts.inherited(where.cores):
        packing = subprocess.Popen(
            [toolchain.djafs(), "gc", where.mountpoint],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    beside = []
    try:
        while packing.poll() is None:
            beside.append(batch())
    finally:
        said, _ = packing.communicate(timeout=600)
    if packing.returncode or not beside:
        raise mounts.MountError(f"djafs gc: {said.strip()}")
    return {"alone": alone, "beside": beside[:-1] or beside}


def percentile(timings: list[Timing]) -> float:
    """Return the 99th percentile of batches of the same size, taken as the mean of theirs."""
    return sum(timing.p99 for timing in timings) / len(timings)


@dataclass
class Written:
    """What the writers did."""

    files: int = 0
    slowest: float = 0.0
    """Microseconds of the slowest create + write + close."""

    p99: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def ingest(bench: Bench) -> None:
    """Write at full speed for long, by several writers; follow the hot cache."""
    peer = bench.djafs()
    if peer is None:
        return
    blob = documents.write_blob(bench.scratch / "ingest-blob", BATCH, BLOCK)
    load = Load(BATCH, blob, BLOCK)
    seconds = bench.settings.ingest_seconds
    say(f"ingest: {seconds} s")
    with peers.fresh(peer, bench.scratch, None, "--hot-cache-size", SIZE) as where:
        end = time.monotonic() + seconds
        written = Written()
        writers = [
            threading.Thread(target=write_until, args=(where, load, end, number, written))
            for number in range(WRITERS)
        ]
        hot = where.backing / "hot"
        with measure.Sampler(lambda: measure.allocated(hot), 0.25) as sampler:
            begin = time.monotonic()
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join()
            took = time.monotonic() - begin
        if written.failed:
            raise mounts.MountError(written.failed[0])
        left = measure.allocated(hot)
        packed = (written.files * BLOCK - left) / took
        measure.expect_files(where, where.root, written.files)
    bench.series["ingest"] = [(at, value / 1e6) for at, value in sampler.series]
    report(bench, written, took, sampler.peak, packed)


def report(bench: Bench, written: Written, took: float, peak: float, packed: float) -> None:
    """Note what an ingest came to."""
    rate = written.files * BLOCK / took
    of = f"{took:,.0f} s, {WRITERS} writers, {written.files:,} files of 12 KiB"
    bench.gauge("ingest-slowest", "slowest create + write + close", written.slowest / 1e6, "s", of)
    p99 = sorted(written.p99)[len(written.p99) // 2] / 1e3
    bench.gauge("ingest-p99", "99 % of a thousand", p99, "ms", "median of all thousands")
    bench.gauge("ingest-rate", "sustained rate of ingest", rate / 1e6, "MB/s", of)
    bench.gauge("ingest-files", "the same in files", written.files / took, "files/s", of)
    bench.gauge("ingest-packed", "rate of packing meanwhile", packed / 1e6, "MB/s", "of content")
    bench.gauge("ingest-ratio", "rate of ingest", rate / packed, "×", "the rate of packing")
    bench.gauge("ingest-hot", "hot cache at its largest", peak / 1e6, "MB", f"limit {SIZE}")


def write_until(where: Mounted, load: Load, end: float, writer: int, written: Written) -> None:
    """Make directories of a thousand files until the time is over."""
    number = 0
    while time.monotonic() < end and not written.failed:
        try:
            directory = measure.make_directory(where, f"writer-{writer}/{number:05d}")
            first = (writer * 1_000_000 + number) * load.count
            timing = measure.run_client(where, directory, load, first, ["create"])["create"]
        except mounts.MountError as error:
            written.failed.append(str(error))
            return
        number += 1
        written.files += load.count
        written.slowest = max(written.slowest, timing.slowest)
        written.p99.append(timing.p99)
