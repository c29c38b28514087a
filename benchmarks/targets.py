"""What is to be reached: the figures that a run is held against, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedTarget:
    """djafs does at least *ratio* times as many of an operation per second as a peer."""

    table: str
    row: str
    peer: str
    ratio: float


@dataclass(frozen=True)
class LimitTarget:
    """A gauge of djafs stays at or below a limit, in the gauge's own unit."""

    gauge: str
    limit: float


SPEEDS = (
    SpeedTarget("operations-pinned", "create", "passthrough_ll", 2.5),
    SpeedTarget("operations-pinned", "read_warm", "native", 0.8),
)
"""Held by every release."""

LATER_SPEEDS = (
    SpeedTarget("operations-pinned", "create", "passthrough_ll", 3.0),
    SpeedTarget("operations-pinned", "create", "pyfuse3", 6.0),
    SpeedTarget("operations-pinned", "create", "native", 0.4),
    SpeedTarget("operations-pinned", "stat_warm", "native", 0.8),
    SpeedTarget("operations-pinned", "list_warm", "native", 0.5),
    SpeedTarget("rsync-pinned", "rsync", "passthrough_ll", 1.5),
    SpeedTarget("rsync-pinned", "rsync", "passthrough_ll_hashed", 1.5),
    SpeedTarget("rsync-pinned", "rsync_again", "passthrough_ll", 1.0),
    SpeedTarget("rsync-pinned", "rsync_again", "native", 0.7),
)
"""Where the work on performance is heading."""

LIMITS = (
    LimitTarget("hwm-read", 120.0),
    LimitTarget("hwm-packed", 120.0),
    LimitTarget("disk-rsync-sensor", 1.3),
    LimitTarget("disk-peak-sensor", 1.3),
    LimitTarget("disk-rsync-pokeapi", 1.3),
    LimitTarget("disk-peak-pokeapi", 1.3),
)
