"""Results on disk: one JSON file for each workload, from which the report is put together.

A long run can so be made in parts, and one part be measured again without the others.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import documents
from bench import Bench, Gauge, Table
from measure import Timing


@dataclass
class Part:
    """What one workload found, where and when."""

    workload: str
    when: str
    command: str
    machine: list[str]
    disk: str
    others: float
    """The share of the machine that other processes took meanwhile."""

    seconds: float
    settings: dict[str, Any]
    peers: dict[str, list[str]]
    """Key to title, version and options."""

    left_out: dict[str, str]
    tables: list[Table]
    gauges: list[Gauge]
    sources: list[documents.Tree]
    notes: list[str]
    series: dict[str, list[tuple[float, float]]]
    counts: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)


def save(directory: Path, part: Part) -> None:
    """Keep every single figure."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(part), indent=1, default=str)
    (directory / f"{part.workload}.json").write_text(text)


def load(directory: Path, order: list[str]) -> list[Part]:
    """Read the parts that there are, in this order."""
    paths = [directory / f"{name}.json" for name in order]
    return [parse(path.read_text()) for path in paths if path.exists()]


def parse(text: str) -> Part:
    found = json.loads(text)
    for table in found["tables"]:
        tails = table["tails"].items()
        table["tails"] = {key: [Timing(**timing) for timing in each] for key, each in tails}
    found["tables"] = [Table(**table) for table in found["tables"]]
    found["gauges"] = [Gauge(**gauge) for gauge in found["gauges"]]
    found["sources"] = [
        documents.Tree(**{**tree, "path": Path(tree["path"])}) for tree in found["sources"]
    ]
    return Part(**found)


def outcome(bench: Bench) -> dict[str, Any]:
    """Return what a bench gathered, as fields of a part."""
    return {
        "settings": dataclasses.asdict(bench.settings),
        "tables": bench.tables,
        "gauges": bench.gauges,
        "sources": bench.sources,
        "notes": bench.notes,
        "series": bench.series,
        "counts": bench.counts,
    }


def machine() -> list[str]:
    """Say what this runs on."""
    model = platform.machine()
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return [
        f"{len(os.sched_getaffinity(0))} cores of {model}, {pages / 2**30:.0f} GiB of memory",
        f"{platform.system()} {platform.release()}, {distribution()}, "
        f"Python {platform.python_version()}",
    ]


def distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"
