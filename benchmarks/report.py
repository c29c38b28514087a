"""The report: one page of markdown, from the parts that were measured."""

# ruff: noqa: RUF001 - the page is typeset: the dash and the times sign are meant

from __future__ import annotations

from pathlib import Path

import plots
import verdicts
from results import Part
from typesetting import gauge_words, markdown, size_words, table_section

GAUGES = (
    (("memory",), "Memory"),
    (("first",), "Time to the first answer"),
    (("scale",), "Large stores"),
    (("ingest",), "Ingest at full speed"),
    (("disk",), "Disk space"),
    (("sizes", "per", "validate"), "Sizes and validate"),
)


def page(parts: list[Part], directory: Path, figures: Path) -> str:
    """Put everything into one markdown page; plots go into *figures*, below *directory*."""
    drawn = plots.draw(parts, figures)
    links = {key: str(path.relative_to(directory)) for key, path in drawn.items()}
    lines = ["# Benchmark results", "", *head(parts), *targets_section(parts)]
    for part in parts:
        for table in part.tables:
            lines += table_section(table)
            lines += picture(links, table.key.rpartition("-")[0] or table.key, table.key)
    lines += requests_section(parts)
    lines += gauges_section(parts, links)
    lines += [f"- {note}" for part in parts for note in part.notes]
    lines += ["", *peers_section(parts), *runs_section(parts)]
    lines += ["## How it was measured", "", *method(parts), ""]
    return "\n".join(lines)


def head(parts: list[Part]) -> list[str]:
    """Say what machine this was, and how quiet."""
    machines = sorted({line for part in parts for line in part.machine})
    disks = sorted({part.disk for part in parts})
    others = max((part.others for part in parts), default=0.0)
    return [
        "Made by `make bench` and `make bench-scale`. All ratios of a table come from one run on "
        "one machine; absolute times prove nothing. Which part was run when stands "
        "[below](#when-it-was-measured); what is missed, and why, in "
        "[docs/performance.md](../docs/performance.md).",
        "",
        *(f"- {line}" for line in machines),
        *(f"- disk: {disk}" for disk in disks),
        f"- other processes (and the kernel's own threads) took up to {others:.0%} of the "
        "machine's time meanwhile" + ("; **not quiet: mind the spread**" if others > 0.1 else ""),
        "",
    ]


def targets_section(parts: list[Part]) -> list[str]:
    rows = verdicts.rows(parts)
    return ["## To reach", "", *markdown(verdicts.HEADER, rows), ""] if rows else []


def picture(links: dict[str, str], *keys: str) -> list[str]:
    """Link the plots with these keys, each once."""
    return [line for key in keys if key in links for line in (f"![{key}]({links.pop(key)})", "")]


def gauges_section(parts: list[Part], links: dict[str, str]) -> list[str]:
    """Memory, disk space and other figures of djafs alone."""
    gauges = [gauge for part in parts for gauge in part.gauges]
    lines: list[str] = []
    for prefixes, title in GAUGES:
        chosen = [gauge for gauge in gauges if gauge.key.split("-")[0] in prefixes]
        if chosen:
            rows = [[gauge.title, gauge_words(gauge), gauge.of] for gauge in chosen]
            lines += [f"## {title}", "", *markdown(["djafs", "measured", "of"], rows), ""]
            for key in [key for key in links if key.split("-")[0] in prefixes]:
                lines += picture(links, key)
    sources = {tree.name + str(tree.files): tree for part in parts for tree in part.sources}
    if sources:
        header = ["source", "files", "bytes", "`du`"]
        rows = [
            [tree.name, f"{tree.files:,}", size_words(tree.size), size_words(tree.allocated)]
            for tree in sources.values()
        ]
        lines += [*markdown(header, rows), ""]
    return lines


def requests_section(parts: list[Part]) -> list[str]:
    counts = {title: found for part in parts for title, found in part.counts.items()}
    if not counts:
        return []
    rows = [
        [title, f"{sum(found.values()):.2f}", ", ".join(f"{n} {v:.2f}" for n, v in found.items())]
        for title, found in counts.items()
    ]
    about = (
        "What the kernel asks the daemon of djafs, for one operation in a hundred of its kind; the "
        "client's way to its directory is in it, hence the odd hundredth."
    )
    header = ["operation", "requests", "of which"]
    return ["## Requests", "", about, "", *markdown(header, rows), ""]


def peers_section(parts: list[Part]) -> list[str]:
    peers = {key: about for part in parts for key, about in part.peers.items()}
    lines = ["## Who was compared", "", "| | version | options |", "|---|---|---|"]
    lines += ["| " + " | ".join(about) + " |" for about in peers.values()]
    left_out = {name: why for part in parts for name, why in part.left_out.items()}
    return [*lines, "", *(f"- Left out: {name}: {why}" for name, why in left_out.items()), ""]


def runs_section(parts: list[Part]) -> list[str]:
    rows = [
        [part.workload, f"`{part.command}`", part.when, djafs_of(part), f"{part.seconds:.0f} s",
         f"{part.others:.0%}"]
        for part in parts
    ]  # fmt: skip
    header = ["part", "command", "begun, UTC", "djafs", "took", "others took"]
    return ["## When it was measured", "", *markdown(header, rows), ""]


def djafs_of(part: Part) -> str:
    return part.peers.get("djafs", ["", ""])[1]


def method(parts: list[Part]) -> list[str]:
    """Say how it was measured."""
    settings = next((p.settings for p in parts), {})
    return [
        "- Client: small C programs (`client.c`, `reader.c`), the same calls for everyone: "
        "`openat`, `write`, `close`, `fstatat`, `read`, `readdir`, `renameat`, `unlinkat`, names "
        "relative to an open directory. Every file gets different JSON; what was written is "
        "compared byte by byte.",
        "- Pinned: client and daemon held to one core together, so that a round trip costs a "
        "context switch and not the waking of another core. Unpinned: the kernel chooses. Memory, "
        "disk space, sizes, the first answer and ingest are always measured unpinned.",
        f"- Operations: {settings.get('rounds')} rounds of {settings.get('batches')} × "
        f"{settings.get('files'):,} files; unpinned, half as many rounds. Peers take turns in each "
        "round, and the order moves on by one from round to round. Each turn has a fresh mount "
        "on an empty directory; `sync` comes before it. Ratios are taken within a round.",
        "- An untimed warm-up makes more files than a batch does: the kernel stalls a threaded "
        "daemon for 10 to 25 ms each time its table of descriptors grows, and passthrough_ll "
        "holds one for every inode in use. Without that its first thousand files would cost it "
        "half as much again; in the long run it is nothing.",
        "- Nothing calls fsync but what says so. What a daemon does by itself within the time "
        "(djafs syncs about once a second and packs what has settled) is in its figures.",
        "- “First” is the first time after the files were made, in cached state; “warm” is the "
        "mean of further passes at once after that; “cold” a new daemon with the kernel's "
        "caches dropped.",
        "- passthrough_ll keeps all inodes in one list; at 1,000 files that is a few "
        "microseconds per new file, at 20,000 a lot more. The hashed variant shows large trees "
        "without that.",
    ]
