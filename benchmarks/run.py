"""Compare djafs with its peers, print a report and write it to RESULTS.md.

    python benchmarks/run.py [--quick|--long|--all] [--peer NAME]... [--workload NAME]...

Reading order: peers (who), workloads (what), bench and measure (how), mounts (the daemons), report.
``benchmarks/run`` is the same with everything installed first that it needs.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import os
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import bench
import measure
import mounts
import peers
import report
import results
import toolchain
import volume
import workloads

RESULTS = toolchain.HERE / "RESULTS.md"
AMOUNTS = (
    "rounds", "batches", "files", "durable-files", "durable-rounds", "tree-files", "rsync-files",
    "rsync-rounds", "memory-files", "disk-files", "archived-files", "archived-rounds",
    "random-reads", "stream-mib", "sizes-files", "first-answer-files", "past-files",
    "ingest-seconds",
)  # fmt: skip


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true", help="all, in small: about two minutes")
    which.add_argument(
        "--long", action="store_true", help="only what takes long: " + ", ".join(workloads.LONG)
    )
    which.add_argument("--all", action="store_true", help="what takes long too")
    parser.add_argument(
        "--render", action="store_true", help="measure nothing: write the report of what there is"
    )
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME",
        help="only this one (repeat for more): " + ", ".join(p.key for p in peers.PEERS),
    )  # fmt: skip
    parser.add_argument(
        "--workload", action="append", default=[], metavar="NAME",
        help="only this one (repeat for more): " + ", ".join(workloads.WORKLOADS),
    )  # fmt: skip
    parser.add_argument("--mode", action="append", choices=["pinned", "unpinned"])
    for name in AMOUNTS:
        parser.add_argument(f"--{name}", type=positive, metavar="N")
    parser.add_argument(
        "--scale-files", type=positive, nargs="+", metavar="N", help="sizes of generated stores"
    )
    parser.add_argument(
        "--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to pin to"
    )
    parser.add_argument(
        "--dir", type=Path, default=toolchain.BUILD,
        help="measure on the filesystem that holds this directory (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--disk", choices=["auto", "fresh", "here"], default="auto",
        help="a fresh ext4 in a file there, or the directory as it is (auto: fresh for root)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="PATH",
        help="the report (default: RESULTS.md, of a quick run build/QUICK.md)",
    )  # fmt: skip
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def settings_from(given: argparse.Namespace) -> bench.Settings:
    """Take the full or the quick amounts, changed where the command line says so."""
    chosen = bench.QUICK if given.quick else bench.FULL
    amounts = {
        field.name: getattr(given, field.name)
        for field in dataclasses.fields(chosen)
        if getattr(given, field.name, None) is not None
    }
    if given.mode:
        amounts["modes"] = tuple(given.mode)
    if given.scale_files:
        amounts["scale_files"] = tuple(sorted(given.scale_files))
    return dataclasses.replace(chosen, **amounts)


def available(wanted: list[peers.Peer]) -> tuple[list[peers.Peer], dict[str, str]]:
    """Build what the peers need; those that cannot be had are left out, with the reason."""
    present, left_out = [], {}
    for peer in wanted:
        reason = missing(peer)
        if reason is None:
            present.append(peer)
        else:
            left_out[peer.title] = reason
            bench.say(f"left out: {peer.title}: {reason}")
    return present, left_out


def missing(peer: peers.Peer) -> str | None:
    """Say what keeps a peer from taking part; None if nothing does."""
    try:
        peer.build()
        peer.version()
    except toolchain.UnavailableError as error:
        return str(error)
    return None


def measure_all(given: argparse.Namespace, names: list[str], kept: Path) -> None:
    """Run workloads one after the other, each on a disk of its own, and keep what they find."""
    settings = settings_from(given)
    toolchain.compile_djafs()
    toolchain.client()
    toolchain.reader()
    present, left_out = available(peers.named(given.peer))
    about = {peer.key: [peer.title, peer.version(), peer.options] for peer in present}
    command = " ".join(["benchmarks/run", *sys.argv[1:]])
    for name in names:
        bench.say(f"== {name}")
        when, begin = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M}", time.monotonic()
        with mounts.scratch(given.dir) as scratch, volume.volume(scratch, given.disk) as disk:
            gathered = bench.Bench(disk.path, settings, present, bool(given.peer), given.core)
            contention = measure.Contention()
            if not workloads.run(name, gathered) and (kept / f"{name}.json").exists():
                bench.say(f"{name}: what was measured before is kept")
                continue
            part = results.Part(
                name, when, command, results.machine(), disk.description, contention.others(),
                time.monotonic() - begin, peers=about, left_out=left_out,
                **results.outcome(gathered),
            )  # fmt: skip
        results.save(kept, part)
        bench.say(f"== {name}: {part.seconds:.0f} s, others took {part.others:.0%}")


def main() -> None:
    """Run it all."""
    given = arguments()
    long = None if given.all or given.quick else given.long
    names = [] if given.render else workloads.chosen(given.workload, long)
    toolchain.BUILD.mkdir(exist_ok=True)
    output = given.output or (toolchain.BUILD / "QUICK.md" if given.quick else RESULTS)
    kept = toolchain.BUILD / "results" / ("quick" if given.quick else "full")
    with (toolchain.BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(
                "another benchmark is running here: it would disturb this one"
            ) from None
        measure_all(given, names, kept)
        parts = results.load(kept, list(workloads.WORKLOADS))
        page = report.page(parts, output.parent, output.parent / "plots")
    output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
