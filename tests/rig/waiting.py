"""Waiting for an event that announces itself to nobody: the only place where tests poll."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Return as soon as ``condition()`` is true; fail, naming ``what``, when time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still waiting for: {what}"
        time.sleep(0.005)
