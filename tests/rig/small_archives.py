"""Stores of several small archives, for compaction."""

from __future__ import annotations

from djafs.packing.compaction import Limits
from rig.small_store import SmallStore

FEW = Limits(fan=3, most_members=1000, most_bytes=1 << 20)


def document(number: int, size: int = 1000) -> bytes:
    return (b'{"document": %d}' % number * size)[:size]


def fill(world: SmallStore, archives: int, files: int = 5, first: int = 0) -> list[int]:
    """Make archives of some files each; return the inodes."""
    made = []
    for archive in range(first, first + archives):
        for number in range(files):
            name = b"%d-%d.json" % (number, archive)
            made.append(world.file(name, document(100 * archive + number)))
        world.collect(Limits(fan=1000))
    return made
