"""The file exerciser, in short; tests/model/file_exerciser.py says how to run it for long."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from model.file_exerciser import exercise
from rig.mount import Mount

OPERATIONS = int(os.environ.get("DJAFS_EXERCISER_OPERATIONS", "2400"))
SEED = int(os.environ.get("DJAFS_EXERCISER_SEED", random.randrange(1_000_000)))


@pytest.mark.timeout(max(120, OPERATIONS // 20))
def test_a_file_holds_what_was_written_while_it_is_packed(mount_store: Callable[..., Mount]):
    mounted = mount_store("--gc-interval=0.3", "--settle=0")
    packed = []

    def pack_now() -> None:
        """Pack what is at rest, in case the operations were faster than the interval."""
        if len(packed) < 3:
            mounted.gc()
            packed.extend((mounted.storage / "archives").glob("*.tar.zst"))

    exercise(mounted.live, OPERATIONS, SEED, between=pack_now)
    assert packed
