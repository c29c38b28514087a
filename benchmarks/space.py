"""What djafs takes of the machine: the daemon's memory, and the disk under a store."""

# ruff: noqa: RUF001 - the times sign is meant

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import documents
import measure
import mounts
import peers
import toolchain
from bench import Bench, say
from measure import Load
from mounts import Mounted

SETTLED = 1.5
"""Seconds until `djafs gc` takes content as settled."""

PER_DIRECTORY = 1000
TINY = 640
"""Bytes of a document where there are more than :data:`TINY_FROM` of them."""

TINY_FROM = 100_000


def daemon_memory(bench: Bench) -> None:
    """Read the daemon's resident memory after many files were made, walked, read and packed."""
    peer = bench.djafs()
    if peer is None:
        return
    total = bench.settings.memory_files
    size = documents.SMALL if total <= TINY_FROM else TINY
    blob = documents.write_blob(bench.scratch / "small-blob", PER_DIRECTORY, size)
    load = Load(min(PER_DIRECTORY, total), blob, size)
    say(f"memory: {total:,} files of {size} bytes")
    with (
        peers.fresh(peer, bench.scratch, None) as where,
        measure.Sampler(packers_of(where), 0.2) as packer,
    ):
        note = memory_notes(bench, where, "memory")
        directories = [
            where.root / f"station-{number:04d}" for number in range(math.ceil(total / load.count))
        ]
        where.run(["mkdir", *directories])
        note("start", "just mounted")
        for number, directory in enumerate(directories):
            measure.run_client(where, directory, load, number * load.count, ["create"])
        note("made", f"after {total:,} files were made")
        measure.expect_files(where, where.root, load.count * len(directories))
        note("walked", "and walked")
        for number, directory in enumerate(directories):
            measure.run_client(where, directory, load, number * load.count, ["verify"])
        note("read", "and read")
        pack(where)
        note("packed", "and packed")
    bench.gauge("memory-packer", "its packer at the highest", packer.peak / 1e6, "MB")


def memory_notes(bench: Bench, where: Mounted, prefix: str) -> Callable[[str, str], None]:
    """Return what notes the daemon's memory, now and at the highest so far."""
    assert where.daemon is not None
    pid = where.daemon.pid

    def note(key: str, what: str) -> None:
        now = measure.memory(pid)
        if now is None:
            raise mounts.MountError("the daemon ended: " + " / ".join(where.last_words()))
        bench.gauge(f"{prefix}-rss-{key}", f"daemon resident, {what}", now.resident / 1e6, "MB")
        bench.gauge(
            f"{prefix}-hwm-{key}", f"daemon at its highest, {what}", now.highest / 1e6, "MB"
        )

    return note


def pack(where: Mounted) -> None:
    """Wait until all has settled, and pack it."""
    time.sleep(SETTLED)
    say(where.run([toolchain.djafs(), "gc", where.mountpoint], 3600).strip())


def packers_of(where: Mounted) -> Callable[[], int]:
    """Return what reads the highest resident memory of a daemon's processes."""
    assert where.daemon is not None
    pid = where.daemon.pid

    def largest_child() -> int:
        found = (measure.memory(child) for child in measure.descendants(pid))
        return max((each.highest for each in found if each is not None), default=0)

    return largest_child


def disk(bench: Bench) -> None:
    """Follow the space that a store takes while a tree is brought in, and while it is packed."""
    peer = bench.djafs()
    if peer is None:
        return
    for tree in trees(bench, "disk", bench.settings.disk_files):
        bench.sources.append(tree)
        say(f"disk: {tree.name}")
        with peers.fresh(peer, bench.scratch, None) as where:
            bring_in(bench, where, tree)


def trees(bench: Bench, prefix: str, files: int) -> list[documents.Tree]:
    """Return the trees to measure on: generated documents, and real ones where there are any."""
    generated = documents.write_sensor_tree(bench.scratch / f"{prefix}-source", files)
    real = documents.unpack_corpus("pokeapi", bench.scratch / f"{prefix}-pokeapi")
    if real is None:
        bench.notes.append(f"{prefix}: no real documents at hand, measured on generated ones only.")
        return [generated]
    return [generated, real]


def bring_in(bench: Bench, where: Mounted, tree: documents.Tree) -> None:
    """Sample a store while ``rsync -a`` fills it and packing follows; gauges by content bytes."""
    program = toolchain.program("rsync")

    def store() -> int:
        return measure.allocated(where.backing)

    with measure.Sampler(store, 0.05) as filling:
        where.run([program, "-a", f"{tree.path}/", f"{where.root}/"])
    with measure.Sampler(store, 0.05) as packing:
        pack(where)
    measure.expect_files(where, where.root, tree.files)
    time.sleep(2)  # what packing made superfluous goes shortly after
    after = store()
    name = tree.name.split()[0]
    joined = filling.series + [(filling.series[-1][0] + at, value) for at, value in packing.series]
    bench.series[f"disk-{name}"] = [(at, value / tree.size) for at, value in joined]
    for key, what, value in (
        ("rsync", "peak during rsync", filling.peak),
        ("peak", "peak of all, packing included", max(filling.peak, packing.peak)),
        ("packed", "after packing", after),
    ):
        title = f"{tree.name}: {what}"
        bench.gauge(f"disk-{key}-{name}", title, value / tree.size, "×", "the source's bytes")
        bench.gauge(
            f"disk-{key}-{name}-du", title, value / tree.allocated, "×", "the source's `du`"
        )


def bytes_below(path: Path) -> int:
    """Add up the sizes of all files at and below a path."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)
