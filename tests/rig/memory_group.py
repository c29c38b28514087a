"""A control group with little memory: for what must work in less memory than it handles."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.waiting import wait_until

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
"""Where the memory controller is mounted: cgroups(7), version 1 or 2."""


class MemoryGroup:
    """A group of processes that together have so much memory, page cache included."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def joining(self, program: list[str]) -> list[str]:
        """Return what runs ``program`` as a member of the group, and its children with it."""
        join = f'echo $$ >"{self.path}/cgroup.procs" && exec "$@"'
        return ["sh", "-c", join, "sh", *program]

    def join(self) -> None:
        """Make this process a member."""
        (self.path / "cgroup.procs").write_text(f"{os.getpid()}\n")

    def kills(self) -> int:
        """Return how many members were killed for want of memory."""
        events = "memory.oom_control" if V1.is_dir() else "memory.events"
        for line in (self.path / events).read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0


@contextlib.contextmanager
def memory_group(name: str, limit: int) -> Iterator[MemoryGroup]:
    """Make a group that may use ``limit`` bytes; skips the test where that is not possible."""
    base = V1 if V1.is_dir() else V2
    path = base / f"{name}-{os.getpid()}"
    limited = "memory.limit_in_bytes" if V1.is_dir() else "memory.max"
    try:
        path.mkdir()
        (path / limited).write_text(str(limit))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        pytest.skip(f"no memory control group can be made here: {error}")
    try:
        yield MemoryGroup(path)
    finally:
        wait_until(lambda: not (path / "cgroup.procs").read_text(), "the group to be empty")
        path.rmdir()
