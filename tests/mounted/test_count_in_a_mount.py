"""djafs count asks the daemon, and gets what find counts."""

from __future__ import annotations

import os
import subprocess

from rig.command import djafs_ok
from rig.mount import Mount


def test_count_in_a_mount_is_what_find_counts(mounted: Mount):
    for number in range(30):
        directory = mounted.live / f"station-{number % 7}"
        directory.mkdir(exist_ok=True)
        (directory / f"{number}.json").write_text(str(number))
    (mounted.live / "link").symlink_to("station-0")
    os.link(mounted.live / "station-0" / "0.json", mounted.live / "again")
    for path in (
        mounted.live,
        mounted.live / "station-0",
        mounted.live / "link",
        mounted.live / "again",
        mounted.snapshots / "latest",
        mounted.mountpoint,
    ):
        found = subprocess.run(["find", path, "-type", "f"], capture_output=True, check=True)
        assert djafs_ok("count", path) == f"{len(found.stdout.splitlines())}\n"
