"""Compare ``djafs convert`` with what else packs a tree, and write CONVERT.md.

    python benchmarks/convert.py [--files N] [--rounds N] [--dir DIR] [--peer NAME]...

Every peer packs the same trees in the same run, one after the other and round by round, so that
whatever else the machine does falls on all of them. The best round of each counts.
"""

# ruff: noqa: RUF001 - the page is typeset: the times sign is meant

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import documents
import packers
import toolchain
from packers import Packer, Result

LARGE = 1 << 20
"""Bytes of a document of the large ones."""

TINY = 300
"""Bytes of a document of the trees that memory is measured with."""

TIMES = 10
"""How many times as many files the larger of these has."""

OUTPUT = documents.HERE / "CONVERT.md"


class Comparison:
    """All results on one tree."""

    def __init__(self, tree: documents.Tree) -> None:
        self.tree = tree
        self.best: dict[str, Result] = {}
        self.parts: dict[str, int] = {}

    def run(self, present: list[Packer], rounds: int, build: Path) -> None:
        """Let all pack it, round by round."""
        for _ in range(rounds):
            for packer in present:
                with packers.emptied(build / "target") as target:
                    result = packers.run(packer, self.tree.path, target)
                    if packer.key == "djafs":
                        self.parts = packers.parts_of(target)
                best = self.best.get(packer.key)
                if best is None or result.seconds < best.seconds:
                    self.best[packer.key] = result
                say(f"{self.tree.name}: {packer.key}: {result.seconds:.1f} s")

    def rate(self, key: str) -> float:
        """Return files per second."""
        return self.tree.files / self.best[key].seconds

    def lines(self, titles: dict[str, str]) -> list[str]:
        """Lay it out."""
        tree = self.tree
        lines = [
            f"## {tree.name}: {tree.files:,} files, {tree.size / 1e6:,.1f} MB",
            "",
            "| | files/s | MB/s | seconds | CPU seconds | MB on disk | peak memory, MB |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for key, result in self.best.items():
            size = self.parts["archives"] if key == "djafs" else result.size
            lines.append(
                f"| {titles[key]} | {self.rate(key):,.0f} | {tree.size / 1e6 / result.seconds:,.1f}"
                f" | {result.seconds:.1f} | {result.cpu:.1f} | {size / 1e6:,.2f}"
                f" | {result.memory / 1e6:.0f} |"
            )
        if self.parts:
            said = ", ".join(
                f"{name} {size / 1e6:,.2f} MB ({size / tree.files:.0f} bytes a file)"
                for name, size in self.parts.items()
            )
            lines += ["", f"Of djafs the size is that of the archives. In all: {said}."]
        return [*lines, ""]


def targets(sensor: Comparison, memory: dict[int, int]) -> list[str]:
    """Say what is to be reached with sensor documents, and what was."""
    rows: list[tuple[str, str, str, bool]] = []

    def at_least(name: str, value: float, goal: float) -> None:
        rows.append((name, f"≥ {goal}", f"{value:.2f}", value >= goal))

    def at_most(name: str, value: float, goal: float) -> None:
        rows.append((name, f"≤ {goal}", f"{value:.2f}", value <= goal))

    if "djafs" not in sensor.best:
        return []
    archives = sensor.parts["archives"]
    for peer, least in (("mksquashfs", 0.5), ("borg", 3)):
        if peer in sensor.best:
            ratio = sensor.rate("djafs") / sensor.rate(peer)
            at_least(f"files per second, × {peer}", ratio, least)
    for peer, most in (("zip", 0.35), ("mksquashfs", 1.05)):
        if peer in sensor.best:
            at_most(f"archives, × {peer}", archives / sensor.best[peer].size, most)
    at_most("lookup log, bytes a file", sensor.parts["lookup log"] / sensor.tree.files, 80)
    for files, size in memory.items():
        at_most(f"peak memory, MB with {files:,} files", size / 1e6, 300)
    return [
        "## To be reached, with sensor documents",
        "",
        "| | goal | measured | |",
        "|---|---:|---:|---|",
        *(f"| {name} | {goal} | {value} | {'yes' if met else 'no'} |"
          for name, goal, value, met in rows),
        "",
    ]  # fmt: skip


def memory_of(files: int, build: Path) -> dict[int, int]:
    """Return the memory that converting so many small files takes, and ten times as many."""
    djafs, found = packers.PACKERS[0], {}
    for count in (files, files * TIMES):
        tree = build / "tiny"
        with packers.emptied(tree), packers.emptied(build / "target") as target:
            write_tiny_tree(tree, count)
            found[count] = packers.run(djafs, tree, target).memory
        say(f"memory with {count:,} files: {found[count] / 1e6:.0f} MB")
    return found


def write_tiny_tree(where: Path, files: int) -> None:
    """Write short documents, no two of them alike, a thousand to a directory."""
    for number in range(files):
        if number % 1000 == 0:
            directory = where / f"{number // 1000:05d}"
            directory.mkdir(parents=True)
        text = f'{{"number":{number},"square":{number * number}}}'.ljust(TINY)
        (directory / f"{number % 1000:03d}.json").write_text(text)


def write_large_tree(where: Path, files: int) -> documents.Tree:
    """Write documents of about 1 MB, one directory a station."""
    for number in range(files):
        rng = random.Random(f"large document {number}")
        path = where / f"station-{number % 10:03d}" / f"{number // 10:05d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = documents.sensor_document(rng, number % 10, documents.FIRST_DAY, LARGE)
        path.write_bytes(text)
    return documents.weigh("large documents (generated)", where)


def trees(build: Path, files: int) -> list[documents.Tree]:
    """Generate and unpack everything that is packed.

    Beside a checkout there may be whole collections of real documents; in it are parts of them.
    """
    found = [
        documents.write_sensor_tree(build / "sensor", files, 100),
        write_large_tree(build / "large", max(files // 1000, 10)),
    ]
    for name in ("currency-days", "pokeapi"):
        whole = documents.HERE.parent.parent / "shared" / "corpora" / f"{name}.tar.zst"
        if whole.exists():
            (build / name).mkdir()
            subprocess.run(["tar", "--zstd", "-xf", whole, "-C", build / name], check=True)
            found.append(documents.weigh(f"{name} (real)", build / name))
            continue
        part = documents.unpack_corpus(name, build / name)
        if part is not None:
            found.append(part)
    return found


def report(
    comparisons: list[Comparison],
    memory: dict[int, int],
    present: list[Packer],
    left_out: dict[str, str],
    rounds: int,
) -> list[str]:
    """Put everything on one page."""
    titles = {packer.key: packer.title for packer in present}
    lines = [
        "# djafs convert and what else packs a tree",
        "",
        f"Measured {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC with"
        f" `python benchmarks/convert.py {' '.join(sys.argv[1:])}`: best of {rounds} rounds,"
        " trees in the kernel's cache, everybody at the same level of zstd (zip: deflate; restic:"
        f" its own). {len(os.sched_getaffinity(0))} processors, Linux {platform.release()},"
        f" Python {platform.python_version()}. Memory is what all processes of a run have"
        f" resident together, looked at every {packers.SAMPLE_SECONDS * 1000:.0f} ms.",
        "",
    ]
    lines += targets(comparisons[0], memory)
    for comparison in comparisons:
        lines += comparison.lines(titles)
    if memory:
        lines += [
            f"## Memory, with documents of {TINY} bytes",
            "",
            "| files | peak memory, MB |",
            "|---:|---:|",
            *(f"| {files:,} | {size / 1e6:.0f} |" for files, size in memory.items()),
            "",
        ]
    lines += ["## Who was compared", ""]
    lines += [f"- {packer.title}: {packers.version_of(packer)}" for packer in present]
    lines += [f"- left out: {title}: {why}" for title, why in left_out.items()]
    return [*lines, ""]


def say(text: str) -> None:
    """Say how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Generate the trees, compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000, help="sensor documents")
    parser.add_argument("--memory-files", type=int, default=100_000, metavar="N",
                        help="measure memory with N files and with ten times as many")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=documents.HERE / "build")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME",
                        choices=[packer.key for packer in packers.PACKERS],
                        help="only this one (repeat for more)")  # fmt: skip
    given = parser.parse_args()
    build = given.dir.resolve() / "convert"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    toolchain.compile_djafs()
    present, left_out = packers.usable(given.peer)
    try:
        comparisons = [Comparison(tree) for tree in trees(build, given.files)]
        for comparison in comparisons:
            comparison.run(present, given.rounds, build)
        memory = memory_of(given.memory_files, build) if given.memory_files else {}
    finally:
        shutil.rmtree(build)
    page = "\n".join(report(comparisons, memory, present, left_out, given.rounds))
    given.output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
