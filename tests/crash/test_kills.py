"""The daemon is killed, at random moments and at every step: what was acknowledged is there."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import validate
from rig.amount import count
from rig.mount import Mount
from rig.writers import Writers

KILLS = count(12, 400)
PER_STORE = 40
FAULTY = [sys.executable, "-m", "djafs.testing.daemon"]

LABELS = [
    "hot.create", "hot.append", "hot.write-out", "hot.sync", "hot.sync-directory", "hot.unlink",
    "lookup.create", "lookup.begin", "lookup.append", "lookup.write-out", "lookup.sync",
    "lookup.sync-directory",
    "index.apply", "index.applied",
    "djfm.create", "djfm.write", "djfm.sync", "djfm.rename",
    "archive.rename", "archive.sync-directory",
    "compaction.unlink", "compaction.unlink-djfm", "compaction.unlink-parity",
    "compaction.sync-directory",
    "lookup-close.create", "lookup-close.write", "lookup-close.sync", "lookup-close.rename",
    "lookup-close.sync-directory", "lookup-close.unlink",
    "checkpoint.rename", "checkpoint.sync-directory", "checkpoint.unlink-log", "checkpoint.unlink",
    "recovery.open", "recovery.rewrite", "recovery.sync", "recovery.sync-directory",
    "store.mkdir", "store.create", "store.write", "store.sync", "store.rename",
    "reserve.create", "reserve.allocate", "reserve.rename",
]  # fmt: skip

Recorder = Callable[[str, object], None]


class Killings:
    """Kills the daemon of one store again and again."""

    def __init__(self, place: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        options = ["--gc-interval=0.2", "--settle=0", "--hot-cache-size=1M"]
        self.parity = seed % 2 == 1
        if self.parity:
            options.append("--parity=5")
        self.mount = Mount(place / "store", place / "mnt", options, 300)
        self.mount.program = FAULTY
        self.mount.mountpoint.mkdir()
        self.writers = Writers(self.mount.live, 4, seed << 8)
        self.files = 0

    def fault(self) -> str:
        """Choose where the daemon kills itself; nowhere, if it is to be killed from outside."""
        kind = self.rng.random()
        action = self.rng.choice(("kill", "kill-half", "kill-after"))
        if kind < 0.3:
            return ""
        if kind < 0.55:
            return f"*:{action}:{self.rng.randint(1, self.rng.choice((10, 100, 1000)))}"
        label = self.rng.choice(LABELS)
        often = label.endswith((".append", ".write-out")) or label.startswith(
            ("index", "recovery", "lookup.sync")
        )
        return f"{label}:{action}:{self.rng.randint(1, 20 if often else 2)}"

    def kill(self) -> None:
        """Mount, check, write, be killed."""
        fault = self.fault()
        # Segments of the log are small, so that they are closed often.
        self.mount.environment = {
            "DJAFS_TEST_FAULTS": fault,
            "DJAFS_TEST_LOG_SEGMENT": "20000",
            "DJAFS_TEST_LOG_INTERVAL": "0.1",
        }
        try:
            self.mount.start()
        except (AssertionError, OSError) as error:
            assert fault, error
            if self.mount._daemon is not None:
                self.mount.kill9()
            return
        try:
            self.files += self.writers.check()
            self.writers.run(self.rng.randint(20, 600), self.mount.kill9)
        except OSError:
            assert fault, "the mount is gone, and nobody killed the daemon"
            self.mount.kill9()

    def end(self) -> None:
        """Mount without faults, check, and leave nothing behind."""
        self.mount.environment = {}
        self.mount.start()
        self.files += self.writers.check()
        if self.parity:
            self.mount.gc()
            archives = self.mount.storage / "archives"
            assert {f"{path}.par2" for path in archives.glob("*.zst")} == set(
                map(str, archives.glob("*.par2"))
            )
        self.mount.unmount()
        validate(self.mount.storage)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(-(-KILLS // PER_STORE)))
def test_kills(tmp_path: Path, number: int, record_property: Recorder):
    killings = Killings(tmp_path, number)
    kills = min(PER_STORE, KILLS)
    try:
        for done in range(kills):
            killings.kill()
            if done % 5 == 4 and (tmp_path / "store" / "djafs.json").exists():
                validate(tmp_path / "store")
        killings.end()
    except BaseException:
        print(killings.mount.messages())
        raise
    finally:
        killings.mount._force()
    record_property("kills", kills)
    record_property("files", killings.files)
    record_property("calls", killings.writers.calls)
