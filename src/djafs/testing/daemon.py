"""``djafs`` with faults: ``python -m djafs.testing.daemon mount ...`` serves as djafs does.

``DJAFS_TEST_FAULTS`` holds the faults of its host (djafs.testing.faulty_host, ``parse_faults``),
``DJAFS_TEST_CLOCK`` a file with the seconds by which its clock is wrong,
``DJAFS_TEST_LOG_SEGMENT`` the size of a segment of the lookup log, and
``DJAFS_TEST_LOG_INTERVAL`` the seconds between two looks at that log; checkpoints are then made of
a few segments.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable

from djafs.cli.main import main
from djafs.disk import lookup_log
from djafs.disk.batch import Batch
from djafs.disk.index_writer import IndexWriter
from djafs.mounting import daemon
from djafs.store.log_keeper import LogKeeper, Pace
from djafs.testing.faulty_host import FaultyHost, parse_faults


def shifted_clock(path: str) -> Callable[[], int]:
    """Return a clock that is wrong by the seconds that stand in the file at ``path``."""

    def clock() -> int:
        with open(path, encoding="ascii") as file:
            return time.time_ns() + int(file.read()) * 10**9

    return clock


def label_index(host: FaultyHost) -> None:
    """Let faults strike before and after the index takes a batch, which no host sees."""
    apply = IndexWriter.apply

    def labelled(writer: IndexWriter, batch: Batch) -> None:
        host.step("index.apply")
        apply(writer, batch)
        host.step("index.applied")

    IndexWriter.apply = labelled  # type: ignore[assignment, method-assign]


def hurry_log(interval: str | None) -> None:
    """Have segments closed, and checkpoints made, much earlier than usual."""
    if interval is not None:
        daemon.LOG_INTERVAL = float(interval)
        size = lookup_log.SEGMENT // 4  # compressed
        hurried = functools.partial(LogKeeper, pace=Pace(size, size, 1.0, 0.5))
        setattr(daemon, "LogKeeper", hurried)  # noqa: B010 (mypy knows it as a class)


def run() -> None:
    """Serve with what the environment asks for."""
    faults = parse_faults(os.environ.get("DJAFS_TEST_FAULTS", ""))
    path = os.environ.get("DJAFS_TEST_CLOCK")
    clock = shifted_clock(path) if path else time.time_ns
    lookup_log.SEGMENT = int(os.environ.get("DJAFS_TEST_LOG_SEGMENT", lookup_log.SEGMENT))
    hurry_log(os.environ.get("DJAFS_TEST_LOG_INTERVAL"))
    host = FaultyHost(faults)
    label_index(host)
    daemon.serve = functools.partial(daemon.serve, host=host, clock=clock)
    sys.exit(main())


if __name__ == "__main__":
    run()
