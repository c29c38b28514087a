"""Daemons that a command started in the background: found by the title they give themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from djafs.mounting.mountpoints import mounts
from djafs.printable import printable
from rig.waiting import wait_until


def daemons_of(storage: Path) -> list[int]:
    """Return the processes that call themselves the daemon of ``storage``."""
    title = f"djafs: {printable(os.fspath(storage))} on ".encode("utf-8", "backslashreplace")
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(title):
                found.append(int(process.name))
    return found


def end_all_below(directory: Path) -> None:
    """Leave no djafs mount below ``directory``, and no daemon of a store there."""
    below = os.path.join(os.path.realpath(directory), "")
    for mount in reversed(mounts()):
        if mount.is_djafs and mount.mountpoint.startswith(below):
            daemons = daemons_of(Path(mount.source))
            subprocess.run(["fusermount3", "-uz", mount.mountpoint], check=False)
            for daemon in daemons:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(daemon, signal.SIGKILL)
                wait_until(lambda pid=daemon: not alive(pid), "a daemon to die")


def alive(process: int) -> bool:
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
