"""How much a run does: a little in ``make test``, all in ``make crash`` and ``make large``."""

from __future__ import annotations

import os

FULL = os.environ.get("DJAFS_CRASH") == "full"

LARGE = os.environ.get("DJAFS_LARGE") == "full"


def count(short: int, full: int) -> int:
    """Return how many crashes of a kind a run makes."""
    return full if FULL else short


def large(short: int, full: int) -> int:
    """Return how large something is in this run."""
    return full if LARGE else short
