"""How many crashes: a few in ``make test``, all of them in ``make crash``."""

from __future__ import annotations

import os

FULL = os.environ.get("DJAFS_CRASH") == "full"


def count(short: int, full: int) -> int:
    """Return how many of something a run does."""
    return full if FULL else short
