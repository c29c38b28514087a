"""Mounts that earlier runs left behind because they were killed themselves."""

from __future__ import annotations

import errno
import os
import subprocess

from djafs.mounting.mountpoints import Mount, mounts, probe


def clear_leftovers(base: str) -> list[Mount]:
    """Take away the dead djafs mounts at and below ``base``; return those that were.

    Mounts whose daemon lives are left alone: they may belong to tests that run beside these.
    """
    below = os.path.join(os.path.realpath(base), "")
    found = [mount for mount in mounts() if mount.is_djafs and mount.mountpoint.startswith(below)]
    dead = [mount for mount in found if probe(mount.mountpoint, 1) == errno.ENOTCONN]
    for mount in dead:
        subprocess.run(["fusermount3", "-uz", mount.mountpoint], check=False)
    return dead
