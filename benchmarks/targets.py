"""What is to be reached: the figures that a run is held against, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """djafs does at least *ratio* times as many of an operation per second as a peer."""

    table: str
    row: str
    peer: str
    ratio: float


@dataclass(frozen=True)
class Cost:
    """An operation costs at most *ratio* times as much in a table's subject as in *other*."""

    table: str
    row: str
    other: str
    """A column; empty: the table's first one."""

    ratio: float


@dataclass(frozen=True)
class Limit:
    """A gauge stays at or below a limit (or at or above it), in the gauge's own unit."""

    gauge: str
    limit: float
    at_least: bool = False


Target = Speed | Cost | Limit

TARGETS: tuple[Target, ...] = (
    Speed("operations-pinned", "create", "passthrough_ll", 3.0),
    Speed("operations-pinned", "create", "pyfuse3", 6.0),
    Speed("operations-pinned", "create", "native", 0.4),
    Speed("tree-pinned", "create", "passthrough_ll", 3.0),
    Speed("tree-pinned", "create", "passthrough_ll_hashed", 3.0),
    Speed("durable-pinned", "writers-16", "native", 1.0),
    Speed("rsync-pinned", "rsync", "passthrough_ll", 1.5),
    Speed("rsync-pinned", "rsync", "passthrough_ll_hashed", 1.5),
    Speed("rsync-pinned", "rsync_again", "passthrough_ll", 1.0),
    Speed("rsync-pinned", "rsync_again", "native", 0.7),
    Speed("rsync-pinned", "rsync_cold", "passthrough_ll", 1.0),
    Speed("operations-pinned", "stat_warm", "native", 0.8),
    Speed("operations-pinned", "read_warm", "native", 0.8),
    Speed("operations-pinned", "list_warm", "native", 0.5),
    Speed("archived-pinned", "walk", "squashfuse", 1.0),
    Speed("archived-pinned", "walk", "ratarmount", 5.0),
    Speed("archived-pinned", "random", "squashfuse", 1.0),
    Speed("archived-pinned", "find", "squashfuse", 1.0),
    Speed("archived-pinned", "find_size", "squashfuse", 1.0),
    Speed("archived-pinned", "count", "squashfuse", 1.0),
    Speed("large-pinned", "write", "passthrough_ll", 0.7),
    Speed("large-pinned", "read_first", "passthrough_ll", 0.7),
    Limit("first-answer-warm", 1.0),
    Limit("first-answer-cold", 1.0),
    Limit("memory-hwm-packed", 150.0),
    Limit("scale-hwm-packed", 200.0),
    Cost("scale-pinned", "lookup", "", 2.0),
    Cost("scale-pinned", "stat", "", 2.0),
    Cost("scale-pinned", "list", "", 2.0),
    Cost("scale-pinned", "read", "", 2.0),
    Cost("scale-pinned", "create", "", 2.0),
    Cost("scale-pinned", "lookup_wide", "", 2.0),
    Cost("scale-pinned", "read_wide", "", 2.0),
    Cost("scale-pinned", "create_wide", "", 2.0),
    Cost("past-pinned", "lookup", "live", 2.0),
    Cost("past-pinned", "list", "live", 2.0),
    Cost("past-pinned", "read", "live", 2.0),
    Cost("beside-pinned", "p99", "alone", 5.0),
    Limit("ingest-slowest", 1.0),
    Limit("ingest-hot", 268.0),
    Limit("disk-rsync-sensor", 1.3),
    Limit("disk-peak-sensor", 1.3),
    Limit("disk-rsync-pokeapi", 1.3),
    Limit("disk-peak-pokeapi", 1.3),
    Limit("sizes-zip-sensor", 0.35),
    Limit("sizes-zip-pokeapi", 0.35),
    Limit("sizes-squashfs-sensor", 1.05),
    Limit("sizes-squashfs-pokeapi", 1.05),
    Limit("per-file-lookups-convert", 80.0),
    Limit("per-file-lookups-rsync", 80.0),
    Limit("per-file-index-convert", 150.0),
    Limit("per-file-index-rsync", 150.0),
    Limit("validate", 0.6, at_least=True),
)
"""In the order of the report."""
