"""Every target of the fuzzer, for a moment: seeds, changed seeds, and all that was ever found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rig.amount import count

from .seeds import seeds
from .targets import TARGETS

HERE = Path(__file__).parent
TRIES = count(60, 5000)


@pytest.fixture(scope="module")
def written() -> dict[str, list[bytes]]:
    return seeds()


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_only_ever_refuses_by_name(target: str, written: dict[str, list[bytes]]):
    rng = random.Random(target)
    for seed in written[target]:
        TARGETS[target](seed)
    for _ in range(TRIES):
        TARGETS[target](changed(rng.choice(written[target]), rng))


def changed(data: bytes, rng: random.Random) -> bytes:
    """Return ``data`` with some bytes changed, repeated, or left out."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(result) + 1)
        size = rng.choice((1, 1, 4, 50))
        match rng.randrange(4):
            case 0:
                result[at : at + size] = rng.randbytes(size)
            case 1:
                del result[at : at + size]
            case 2:
                result[at:at] = result[at : at + size] * 2
            case _:
                result[at:at] = rng.choice((b"\0", b"-", b"9" * 30, b"\xff", b"{}", b"null"))
    return bytes(result)


def test_what_was_found_is_refused_by_name():
    for path in sorted(HERE.glob("findings/*/*")):
        TARGETS[path.parent.name](path.read_bytes())
