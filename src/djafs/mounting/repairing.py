"""Repairing a store that is mounted: the command prepares, the daemon commits.

The request names a directory of ``damaged/`` and either asks for the steps to be carried out that
lie there as ``plan.tmp`` (djafs.store.repairing), or for a checkpoint in the place of files of the
lookup log, or for an index made from that log in the place of a damaged one.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Any

from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import UsageError
from djafs.mounting.control import SIZE, request_repair
from djafs.mounting.mountpoints import mounts
from djafs.store.aside import Aside, write_durably
from djafs.store.collector import Collector
from djafs.store.log_keeper import LogKeeper
from djafs.store.repairing import AnyStep, commit, decode, encode
from djafs.store.store import Store

PLAN = "plan.tmp"
"""The name of a plan; a draft, for nothing is done twice."""

_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


class DaemonRepair:
    """What a repair asks of the daemon that has the store."""

    def __init__(self, layout: Layout, mountpoint: str) -> None:
        self._layout = layout
        self._mountpoint = mountpoint

    def commit(self, name: str, steps: list[AnyStep]) -> None:
        """Carry out steps (raises MountError, OSError)."""
        host = Host()
        directory = Aside(host, self._layout, name).prepare()
        write_durably(host, os.path.join(directory, PLAN), encode(steps))
        self._hand_over(directory)
        request_repair(self._mountpoint, {"name": name})

    def make_index_anew(self, name: str) -> None:
        """Have an index made from the log take the place of the damaged one (MountError)."""
        request_repair(self._mountpoint, {"name": name, "index": True})

    def begin_log_anew(self, name: str, damaged: list[str]) -> None:
        """Have a checkpoint take the place of damaged files (raises MountError)."""
        fitting = SIZE // 128  # into a request
        for begin in range(0, max(len(damaged), 1), fitting):
            some = damaged[begin : begin + fitting]
            request_repair(self._mountpoint, {"name": name, "damaged": some})

    def _hand_over(self, directory: str) -> None:
        """Give what root has made to the user whose store it is."""
        owner = os.stat(self._layout.root)
        if os.geteuid() != owner.st_uid:
            for path in (self._layout.damaged, directory):
                os.chown(path, owner.st_uid, owner.st_gid)
            for entry in os.scandir(directory):
                os.chown(entry.path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def daemon_of(layout: Layout) -> DaemonRepair | None:
    """Return the daemon that has a store mounted, None if there is no mount of it."""
    root = os.path.realpath(layout.root)
    for mount in reversed(mounts()):
        if mount.is_djafs and mount.source == root:
            return DaemonRepair(layout, mount.mountpoint)
    return None


def carry_out(store: Store, collector: Collector, keeper: LogKeeper, request: bytes) -> None:
    """Do what a repair asks for, on the daemon's side.

    Raises UsageError for what is no request, DjafsError, OSError.
    """
    fields = _fields(request)
    aside = Aside(store.host, store.layout, fields["name"])
    with collector.paused():
        if "index" in fields:
            with keeper.paused():
                collector.make_index_anew(aside)
            return
        if "damaged" in fields:
            keeper.begin_anew(aside, fields["damaged"])
            return
        with open(os.path.join(aside.path, PLAN), "rb") as file:
            steps = decode(file.read())
        commit(store, aside, steps)


def _fields(request: bytes) -> dict[str, Any]:
    fields: Any = None
    with suppress(ValueError):
        fields = json.loads(request.rstrip(b"\0"))
    if not isinstance(fields, dict) or not _NAME.fullmatch(str(fields.get("name"))):
        raise UsageError("this is no request for a repair")
    damaged = fields.get("damaged", [])
    if not isinstance(damaged, list) or not all(isinstance(where, str) for where in damaged):
        raise UsageError("this is no request for a repair")
    return fields
