"""``--durable close``: what was written is durable when close() has returned."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from conftest import MountStore
from djafs.disk import records
from djafs.disk.layout import Layout
from djafs.disk.lookup_reader import LookupReader
from djafs.store.identity import read_identity


def log_of(storage: Path) -> list[records.AnyRecord]:
    """Read the log of a store, as far as it is written."""
    layout = Layout(os.fspath(storage))
    return [line.record for line in LookupReader(layout, read_identity(layout).id)]


def unmarked(storage: Path) -> list[int]:
    """Return the records that no mark calls durable."""
    log = log_of(storage)
    upto = max(record.upto for record in log if isinstance(record, records.Sync))
    return [r.seq for r in log if r.seq > upto and not isinstance(r, records.Sync)]


def test_a_close_makes_durable(mount_store: MountStore):
    mount = mount_store("--gc-interval=86400", "--durable=close")
    for number in range(10):
        (mount.live / f"{number}.json").write_bytes(b"content" * number)
        assert unmarked(mount.storage) == []
    with open(mount.live / "3.json", "ab") as file:
        file.write(b"more")
    assert unmarked(mount.storage) == []


def test_closing_what_was_only_read_waits_for_nothing(mount_store: MountStore):
    mount = mount_store("--gc-interval=86400", "--durable=close")
    (mount.live / "a").write_bytes(b"content")
    marks = sum(isinstance(record, records.Sync) for record in log_of(mount.storage))
    for _ in range(50):
        assert (mount.live / "a").read_bytes() == b"content"
    assert sum(isinstance(record, records.Sync) for record in log_of(mount.storage)) == marks


def test_closes_that_come_together_share_their_syncs(mount_store: MountStore):
    mount = mount_store("--gc-interval=86400", "--durable=close")
    start = threading.Barrier(16)

    def write(number: int) -> None:
        start.wait()
        for turn in range(20):
            (mount.live / f"{number}-{turn}").write_bytes(b"content")

    threads = [threading.Thread(target=write, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unmarked(mount.storage) == []
    marks = sum(isinstance(record, records.Sync) for record in log_of(mount.storage))
    assert marks < 300, f"{marks} syncs for 320 closes"


def errno_of(call: Callable[[], object]) -> int:
    """Return the errno with which a call fails, 0 if it does not."""
    try:
        call()
    except OSError as error:
        assert error.errno is not None
        return error.errno
    return 0


def test_a_close_that_cannot_be_durable_fails(mount_store: MountStore):
    mount = mount_store("--gc-interval=86400", "--durable=close")
    mount.unmount()
    mount.program = [sys.executable, "-m", "djafs.testing.daemon"]
    mount.environment = {"DJAFS_TEST_FAULTS": f"hot.sync:{errno.EIO}:1:1"}
    mount.start()
    descriptor = os.open(mount.live / "a", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"content")
    assert os.pread(descriptor, 100, 0) == b"content"
    assert errno_of(lambda: os.close(descriptor)) == errno.EIO
    assert errno_of(lambda: os.mkdir(mount.live / "b")) == errno.EROFS
    assert errno_of(lambda: os.unlink(mount.live / "a")) == errno.EROFS
    assert os.listdir(mount.live) == ["a"]
    assert mount.messages().count("CRITICAL a sync failed") == 1
    mount.kill9()
    mount.environment = {}
    mount.start()
    assert (mount.live / "a").read_bytes() == b"content"
