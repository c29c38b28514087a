"""The report: markdown for people, JSON for whoever wants to plot it."""

# ruff: noqa: RUF001 - the page is typeset: the dash and the times sign are meant

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import measure
import targets
from measure import Ratio
from peers import Peer
from workloads import Bench, Gauge, Table

SUBJECT = "djafs"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a table, first column to the left and the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (header, rule, *rows)]


def microseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_words(ratio: Ratio | None) -> str:
    """Put a ratio as median with the least and most of the rounds."""
    if ratio is None:
        return "–"
    return f"**{ratio.median:.2f}** ({ratio.low:.2f}–{ratio.high:.2f})"


def size_words(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def ratio_of(table: Table, row: str, subject: str, other: str) -> Ratio | None:
    ours, theirs = table.cells.get((row, subject)), table.cells.get((row, other))
    return measure.speed_ratio(ours, theirs) if ours and theirs else None


def seen(bench: Bench, table: Table) -> list[Peer]:
    """The peers that have any figure in a table."""
    there = {peer for _, peer in table.cells}
    return [peer for peer in bench.peers if peer.key in there]


def table_section(bench: Bench, table: Table) -> list[str]:
    """Ratios first, then the times they come from."""
    present = seen(bench, table)
    lines: list[str] = [f"## {table.title}", ""]
    subject = SUBJECT if any(peer.key == SUBJECT for peer in present) else ""
    base = subject or (present[0].key if present else "")
    others = [peer for peer in present if peer.key != base]
    if others:
        name = next(peer.title for peer in present if peer.key == base)
        lines += [
            f"How many times as many operations per second {name} does as each of the others: "
            "median of the rounds (least–most).",
            "",
            *markdown(
                ["", *(f"vs {peer.title}" for peer in others)],
                (
                    [title, *(ratio_words(ratio_of(table, row, base, p.key)) for p in others)]
                    for row, title in table.rows.items()
                ),
            ),
            "",
        ]
    lines += [
        "Microseconds per operation, median of the rounds (they prove nothing: other machine, "
        "other figures):",
        "",
        *markdown(
            ["", *(peer.title for peer in present)],
            (
                [title, *(microseconds(table.median(row, peer.key)) for peer in present)]
                for row, title in table.rows.items()
            ),
        ),
        "",
    ]
    if table.tails:
        lines += tail_section(table, present)
    for key, reason in table.failed.items():
        title = next(peer.title for peer in bench.peers if peer.key == key)
        lines += [f"- {title} dropped out: {reason}", ""]
    return lines


def tail_section(table: Table, present: list[Peer]) -> list[str]:
    """Percentiles of creating, where a slow one would hurt."""
    rows = []
    for peer in present:
        timings = table.tails.get(("create", peer.key), [])
        if timings:
            rows.append(
                [
                    peer.title,
                    microseconds(sorted(t.p50 for t in timings)[len(timings) // 2]),
                    microseconds(sorted(t.p99 for t in timings)[len(timings) // 2]),
                    microseconds(max(t.slowest for t in timings)),
                ]
            )
    header = ["create + write + close, µs", "median", "99 %", "slowest of all"]
    return [*markdown(header, rows), ""]


def target_rows(bench: Bench, speeds: Sequence[targets.SpeedTarget]) -> list[list[str]]:
    """Hold speeds against what is to be reached."""
    rows = []
    for target in speeds:
        table = next((each for each in bench.tables if each.key == target.table), None)
        if table is None:
            continue
        ratio = ratio_of(table, target.row, SUBJECT, target.peer)
        peer = next((p.title for p in bench.peers if p.key == target.peer), target.peer)
        rows.append(
            [
                table.rows[target.row],
                f"≥ {target.ratio:g} × {peer}",
                ratio_words(ratio),
                verdict(ratio and ratio.median >= target.ratio),
            ]
        )
    return rows


def limit_rows(bench: Bench) -> list[list[str]]:
    """Hold gauges against their limits."""
    rows = []
    for target in targets.LIMITS:
        gauge = next((each for each in bench.gauges if each.key == target.gauge), None)
        if gauge is not None:
            rows.append(
                [
                    gauge.title,
                    f"≤ {target.limit:g} {gauge.unit} {gauge.of}".strip(),
                    gauge_words(gauge),
                    verdict(gauge.value <= target.limit),
                ]
            )
    return rows


def verdict(met: bool | None) -> str:
    return "–" if met is None else "yes" if met else "**no**"


def gauge_words(gauge: Gauge) -> str:
    return f"{gauge.value:.2f} ×" if gauge.unit == "×" else f"{gauge.value:.1f} {gauge.unit}"


def machine() -> list[str]:
    """Say what this ran on."""
    model = platform.machine()
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [
        f"- {len(os.sched_getaffinity(0))} cores of {model}, {pages / 2**30:.0f} GiB of memory",
        f"- {platform.system()} {platform.release()}, {distribution()}, "
        f"Python {platform.python_version()}",
    ]


def distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def method(bench: Bench) -> list[str]:
    """Say how it was measured."""
    s = bench.settings
    return [
        "- Client: one small C program (`client.c`), the same calls for everyone: `openat`, "
        "`write`, `close`, `fstatat`, `read`, `readdir`, `renameat`, `unlinkat`, names relative "
        "to an open directory. Every file gets different JSON; what was written is compared "
        "byte by byte in every batch.",
        f"- Pinned: client and daemon held to core {bench.core} together, so that a round trip "
        "costs a context switch and not the waking of another core. Unpinned: the kernel chooses.",
        f"- Operations: {s.rounds} rounds of {s.batches} × {s.files:,} files; rsync: "
        f"{s.rsync_rounds} rounds. Peers take turns in each round, and the order moves on by one "
        "from round to round. Each turn has a fresh mount on an empty directory and an untimed "
        "warm-up; `sync` comes before it. Ratios are taken within a round.",
        "- The warm-up makes more files than a batch does: the kernel stalls a threaded daemon for "
        "10 to 25 ms each time its table of descriptors grows, and passthrough_ll holds one for "
        "every inode in use. Without that its first thousand files would cost it half as much "
        "again; in the long run it is nothing.",
        "- Nothing calls fsync. What a daemon does by itself within the time (djafs syncs about "
        "once a second and packs what has settled) is in its figures.",
        "- “First” is the first time after the files were made, in cached state; “warm” is the "
        "mean of further passes at once after that.",
        "- passthrough_ll keeps all inodes in one list; at 1,000 files that is a few "
        "microseconds per new file, at 20,000 a lot more. The hashed variant shows rsync "
        "without that.",
    ]


def peers_section(bench: Bench, versions: dict[str, str], left_out: dict[str, str]) -> list[str]:
    rows = [[p.title, versions.get(p.key, ""), p.options] for p in bench.peers]
    lines = ["## Who was compared", "", "| | version | options |", "|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += [f"- Left out: {name}: {reason}" for name, reason in left_out.items()]
    return [*lines, ""]


def write_report(
    bench: Bench,
    versions: dict[str, str],
    left_out: dict[str, str],
    command: str,
    others: float,
) -> str:
    """Put everything into one markdown page."""
    lines = [
        "# Benchmark results",
        "",
        f"`{command}`, {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC. All ratios come from "
        "this one run on one machine; absolute times prove nothing.",
        "",
        *machine(),
        f"- disk: {bench.disk}",
        f"- other processes (and the kernel's own threads) took {others:.0%} of the machine's "
        "time meanwhile" + ("; **not quiet: mind the spread**" if others > 0.1 else ""),
        "",
    ]
    subject = any(peer.key == SUBJECT for peer in bench.peers)
    for title, rows in (
        ("To reach", target_rows(bench, targets.SPEEDS) + limit_rows(bench)),
        ("Where it is heading", target_rows(bench, targets.LATER_SPEEDS)),
    ):
        if rows and subject:
            header = ["", "to reach", "measured", "reached"]
            lines += [f"## {title}", "", *markdown(header, rows), ""]
    for table in bench.tables:
        lines += table_section(bench, table)
    lines += gauges_section(bench)
    lines += [f"- {note}" for note in bench.notes] + [""] * bool(bench.notes)
    lines += peers_section(bench, versions, left_out)
    lines += ["## How it was measured", "", *method(bench), ""]
    return "\n".join(lines)


def gauges_section(bench: Bench) -> list[str]:
    """Memory and disk space of djafs."""
    lines: list[str] = []
    for prefixes, title in ((("rss", "hwm", "packer"), "Memory"), (("disk",), "Disk space")):
        chosen = [gauge for gauge in bench.gauges if gauge.key.split("-")[0] in prefixes]
        if chosen:
            rows = [[gauge.title, gauge_words(gauge), gauge.of] for gauge in chosen]
            lines += [f"## {title}", "", *markdown(["djafs", "measured", "of"], rows), ""]
    if bench.sources:
        header = ["source", "files", "bytes", "`du`"]
        rows = [
            [tree.name, f"{tree.files:,}", size_words(tree.size), size_words(tree.allocated)]
            for tree in bench.sources
        ]
        lines += [*markdown(header, rows), ""]
    return lines


def write_json(path: Path, bench: Bench, versions: dict[str, str]) -> None:
    """Keep every single figure, for plots and for comparing runs."""
    path.write_text(
        json.dumps(
            {
                "settings": dataclasses.asdict(bench.settings),
                "versions": versions,
                "tables": [
                    {
                        "key": table.key,
                        "rows": table.rows,
                        "failed": table.failed,
                        "microseconds": {
                            row: {p.key: table.cells.get((row, p.key), []) for p in bench.peers}
                            for row in table.rows
                        },
                        "tails": {
                            f"{row}/{peer}": [dataclasses.asdict(timing) for timing in timings]
                            for (row, peer), timings in table.tails.items()
                        },
                    }
                    for table in bench.tables
                ],
                "gauges": [dataclasses.asdict(gauge) for gauge in bench.gauges],
                "series": bench.series,
                "notes": bench.notes,
            },
            indent=1,
        )
    )


def versions_of(present: list[Peer]) -> dict[str, str]:
    """Ask each peer for its version."""
    return {peer.key: peer.version() for peer in present}
