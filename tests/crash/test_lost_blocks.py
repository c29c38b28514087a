"""As much of an archive as was chosen is lost, anywhere: it comes back; more does not, and says so.

What is lost is flipped, zeroed, cut off, or missing so that all that follows has moved.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from djafs.disk import parity
from rig.amount import count
from rig.protected_archive import PERCENT, SIZE, ProtectedArchive

REPAIRS = count(2, 80)
SHARE = SIZE * PERCENT // 100
BLOCK, MOST = parity.blocks_of(SIZE, PERCENT)

Damage = Callable[[random.Random, bytearray], None]


def flip(rng: random.Random, content: bytearray, blocks: int) -> None:
    """Flip a bit in each of so many blocks."""
    for block in rng.sample(range(-(-SIZE // BLOCK)), blocks):
        place = rng.randrange(block * BLOCK, min((block + 1) * BLOCK, SIZE))
        content[place] ^= 1 << rng.randrange(8)


def flips(rng: random.Random, content: bytearray) -> None:
    flip(rng, content, MOST)


def more_flips(rng: random.Random, content: bytearray) -> None:
    flip(rng, content, MOST + 1)


def zeros(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(SIZE - SHARE)
    content[at : at + SHARE] = bytes(SHARE)


def cut(rng: random.Random, content: bytearray) -> None:
    del content[SIZE - rng.randint(1, SHARE) :]


def missing(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(SIZE - SHARE)
    del content[at : at + rng.randint(1, SHARE)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("damage", [flips, zeros, cut, missing, more_flips])
def test_the_share_may_be_lost_anywhere_and_no_more(
    tmp_path: Path, damage: Damage, record_property: Callable[[str, object], None]
):
    archive = ProtectedArchive(tmp_path / "store")
    for seed in range(REPAIRS):
        content = bytearray(archive.content)
        damage(random.Random(seed), content)
        assert archive.repair(bytes(content)) == (damage != more_flips), seed
    record_property("repairs", REPAIRS)
