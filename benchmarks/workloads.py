"""What is done to the filesystems: one function for each workload, and the parts they belong to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

import archived
import copying
import durable
import mounts
import operations
import requests
import scale
import sizes
import space
import streaming
import sustained
import toolchain
from bench import Bench, say

WORKLOADS: dict[str, Callable[[Bench], None]] = {
    "operations": operations.operations,
    "durable": durable.durable,
    "tree": operations.large_tree,
    "rsync": copying.rsync,
    "large": streaming.large_file,
    "archived": archived.archived,
    "requests": requests.requests,
    "past": scale.past,
    "beside": sustained.beside_packing,
    "disk": space.disk,
    "sizes": sizes.sizes,
    "first-answer": scale.first_answer,
    "memory": space.daemon_memory,
    "scale": scale.scale,
    "ingest": sustained.ingest,
}

LONG = ("first-answer", "memory", "scale", "ingest")
"""Those of ``make bench-scale``: millions of files, or many minutes."""


def run(name: str, bench: Bench) -> bool:
    """Run one workload; one that fails is noted. Return whether it was finished."""
    try:
        WORKLOADS[name](bench)
    except (
        mounts.MountError, toolchain.UnavailableError, subprocess.SubprocessError, OSError
    ) as error:  # fmt: skip
        bench.notes.append(f"{name} was not finished: {error}")
        say(f"{name} was not finished: {error}")
        return False
    return True


def chosen(names: Sequence[str], long: bool | None) -> list[str]:
    """Return the workloads given by hand, or else all, the short or the long ones."""
    unknown = set(names) - set(WORKLOADS)
    if unknown:
        raise SystemExit(f"no workload is called {', '.join(sorted(unknown))}")
    if names:
        return list(names)
    return [name for name in WORKLOADS if long is None or (name in LONG) == long]
