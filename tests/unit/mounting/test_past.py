"""Answers about the mount's root and ``snapshots/`` that tell the kernel what it may keep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.fuse import FOREVER, SECOND, Entry, Request
from djafs.model import LIVE_ROOT
from djafs.mounting.live import LiveOperations
from djafs.mounting.nodes import MOUNT_ROOT
from djafs.mounting.past import PastOperations
from djafs.mounting.reading import Reading
from djafs.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(str(tmp_path / "store"), create=True)
    with made.guard:
        yield made
    made.close()


def request_of(nodeid: int) -> Request:
    request = Request()
    request.nodeid, request.uid, request.gid, request.pid = nodeid, 0, 0, os.getpid()
    return request


def looked_up(past: PastOperations, nodeid: int, name: bytes) -> Entry:
    found = past.lookup(request_of(nodeid), name)
    assert isinstance(found, Entry)
    return found


def test_a_path_through_the_mount_is_not_asked_for_each_time_it_is_used(store: Store):
    past = PastOperations(store, LiveOperations(store), Reading(store.reads))
    root = past.getattr(request_of(MOUNT_ROOT))
    assert root.valid == SECOND  # not longer: its owner is that of live/
    store.setattr(LIVE_ROOT, uid=7, gid=8, now=store.clock())
    owned = past.getattr(request_of(MOUNT_ROOT)).attributes
    assert (owned.uid, owned.gid) == (7, 8)
    assert looked_up(past, MOUNT_ROOT, b"live").entry_valid == FOREVER
    snapshots = looked_up(past, MOUNT_ROOT, b"snapshots")
    assert (snapshots.entry_valid, snapshots.attr_valid) == (FOREVER, SECOND)
