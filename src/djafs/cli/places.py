"""Which tree an argument means: a store, a store on a day, or a directory in a mount."""

from __future__ import annotations

import os
import re
from datetime import date

from djafs.errors import UsageError


def resolve(source: str) -> tuple[str, int, bytes]:
    """Return the store, the day and the path below that an argument stands for."""
    from djafs.mounting.mountpoints import mounts, resolve  # noqa: PLC0415 (help is shown without)
    from djafs.tools.export.view import NOW, split  # noqa: PLC0415

    place = resolve(source)
    path, day = split(source)
    store = os.path.realpath(path)
    for mount in reversed(mounts()):
        inside = os.path.join(mount.mountpoint, "")
        below = (place + "/").startswith(inside)
        if mount.is_djafs and (below or mount.source == store):
            # The daemon brings its index up to date before it answers.
            os.stat(os.path.join(mount.mountpoint, "snapshots/latest"))
            if below:
                return (mount.source, *_place_in_mount(place[len(inside) :], NOW))
    return store, day, b""


def _place_in_mount(rest: str, now: int) -> tuple[int, bytes]:
    """Return the day and the path below that a path in a mount stands for."""
    match = re.fullmatch(r"(?:live|snapshots/latest)(?:/(.*))?", rest, re.DOTALL)
    if match:
        return now, os.fsencode(match[1] or "")
    match = re.fullmatch(r"snapshots/(\d{4})/(\d{2})/(\d{2})(?:/(.*))?", rest, re.DOTALL)
    if match is None:
        raise UsageError("give live, snapshots/latest or snapshots/YYYY/MM/DD of the mount")
    year, month, day, below = match.groups()
    return date(int(year), int(month), int(day)).toordinal(), os.fsencode(below or "")
