"""The hot cache stays bounded when programs write faster than djafs packs."""

import os
import random
import threading
import time

from rig.mount import Mount
from rig.waiting import wait_until

MIB = 1 << 20
LIMIT = MIB


def hot_bytes(mount: Mount) -> int:
    """Add up the hot segments; they come and go meanwhile."""
    total = 0
    for entry in os.scandir(mount.storage / "hot"):
        try:
            total += entry.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_writers_wait_when_they_outrun_packing(mount_store):
    mount = mount_store("--hot-cache-size", "1M")
    rng = random.Random(1)
    slowest, largest, seen, stop = 0.0, 0, [], threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append(hot_bytes(mount))

    watcher = threading.Thread(target=watch)
    watcher.start()
    log = os.open(mount.live / "growing", os.O_WRONLY | os.O_CREAT)  # never settles
    try:
        for number in range(96):
            began = time.monotonic()
            (mount.live / f"{number}.bin").write_bytes(rng.randbytes(MIB // 16))
            os.write(log, b"one more line\n")
            slowest = max(slowest, time.monotonic() - began)
    finally:
        os.close(log)
        stop.set()
        watcher.join()
    largest = max(seen)
    # Without waiting all 6 MiB would be hot: they take a tenth of a second to write.
    assert 2 * LIMIT < largest < 4 * LIMIT
    assert slowest < 2.0  # two answers that wait, and a busy machine
    wait_until(lambda: hot_bytes(mount) <= 2 * LIMIT, "packing to catch up")
