"""Compare djafs with its peers, print a report and write it to RESULTS.md.

    python benchmarks/run.py [--quick] [--peer NAME]... [--workload NAME]... [--mode MODE]...

Reading order: peers (who), workloads (what), measure (how), mounts (the daemons), report.
``benchmarks/run`` is the same with everything installed first that it needs.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import os
import sys
from pathlib import Path

import measure
import mounts
import peers
import report
import toolchain
import volume
import workloads

RESULTS = toolchain.HERE / "RESULTS.md"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="about two minutes, fewer rounds")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME",
        help="only this one (repeat for more): " + ", ".join(p.key for p in peers.PEERS),
    )  # fmt: skip
    parser.add_argument(
        "--workload", action="append", default=[], metavar="NAME",
        help="only this one (repeat for more): " + ", ".join(workloads.WORKLOADS),
    )  # fmt: skip
    parser.add_argument("--mode", action="append", choices=["pinned", "unpinned"])
    for name in (
        "rounds", "batches", "files", "rsync-files", "rsync-rounds", "memory-files", "disk-files",
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=positive, metavar="N")
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
        "--output", type=Path, default=RESULTS, help="the report (default: %(default)s)"
    )
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def settings_from(given: argparse.Namespace) -> workloads.Settings:
    """Take the full or the quick amounts, changed where the command line says so."""
    chosen = workloads.QUICK if given.quick else workloads.FULL
    amounts = {
        field.name: getattr(given, field.name)
        for field in dataclasses.fields(chosen)
        if getattr(given, field.name, None) is not None
    }
    if given.mode:
        amounts["modes"] = tuple(given.mode)
    amounts["only"] = workloads.chosen(given.workload)
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
            workloads.say(f"left out: {peer.title}: {reason}")
    return present, left_out


def missing(peer: peers.Peer) -> str | None:
    """Say what keeps a peer from taking part; None if nothing does."""
    try:
        peer.build()
        peer.version()
    except toolchain.UnavailableError as error:
        return str(error)
    return None


def main() -> None:
    """Run it all."""
    given = arguments()
    settings = settings_from(given)
    toolchain.BUILD.mkdir(exist_ok=True)
    with (toolchain.BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(
                "another benchmark is running here: it would disturb this one"
            ) from None
        toolchain.client()
        present, left_out = available(peers.named(given.peer))
        versions = report.versions_of(present)
        with mounts.scratch(given.dir) as scratch, volume.volume(scratch, given.disk) as disk:
            bench = workloads.Bench(
                disk.path, settings, present, bool(given.peer), given.core, disk.description
            )
            contention = measure.Contention()
            workloads.run_all(bench)
            others = contention.others()
            command = " ".join(["benchmarks/run", *sys.argv[1:]])
            page = report.write_report(bench, versions, left_out, command, others)
            report.write_json(toolchain.BUILD / "results.json", bench, versions)
    given.output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
