"""Damage to one file of a store: a byte flipped, an end cut off, the file gone."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from djafs.disk.seek_table import FOOTER_SIZE, SEAL_SIZE, tail_size


class Harm(NamedTuple):
    """One damage: what was done to which file, and where."""

    file: str  # relative to the store
    how: str  # "flip", "cut" or "remove"
    at: int

    def do(self, store: Path) -> None:
        """Do it."""
        path = store / self.file
        if self.how == "remove":
            path.unlink()
        elif self.how == "cut":
            os.truncate(path, self.at)
        else:
            with open(path, "r+b") as file:
                file.seek(self.at)
                byte = file.read(1)[0]
                file.seek(self.at)
                file.write(bytes([byte ^ 1 << self.at % 8]))


Place = Callable[[Path, random.Random], tuple[str, int]]
"""Chooses a file of a store, and a byte in it."""


def _anywhere(pattern: str) -> Place:
    def place(store: Path, rng: random.Random) -> tuple[str, int]:
        file = rng.choice(sorted(store.glob(pattern)))
        return str(file.relative_to(store)), rng.randrange(max(file.stat().st_size, 1))

    return place


def _archive(part: str) -> Place:
    def place(store: Path, rng: random.Random) -> tuple[str, int]:
        file = rng.choice(sorted(store.glob("archives/*.tar.zst")))
        content = file.read_bytes()
        tail = tail_size(content[-FOOTER_SIZE:])
        begin, end = {
            "frame header": (0, 6),
            "frame": (6, len(content) - tail),
            "seal": (len(content) - tail, len(content) - tail + SEAL_SIZE),
            "seek table": (len(content) - tail + SEAL_SIZE, len(content)),
        }[part]
        return str(file.relative_to(store)), rng.randrange(begin, end)

    return place


PLACES: dict[str, Place] = {
    "identity": _anywhere("djafs.json"),
    "hot segment": _anywhere("hot/*.log"),
    "open log": _anywhere("lookups/*.djfl"),
    "closed log": _anywhere("lookups/*.djfl.zst"),
    "checkpoint": _anywhere("lookups/*.djfc.zst"),
    "frame header": _archive("frame header"),
    "frame": _archive("frame"),
    "seal": _archive("seal"),
    "seek table": _archive("seek table"),
    "metadata": _anywhere("archives/*.djfm"),
    "index": _anywhere("index.sqlite"),
    "write-ahead log": _anywhere("index.sqlite-wal"),
    "lock": _anywhere("lock"),
    "reserve": _anywhere("reserve"),
}
"""Each kind of place in a store."""

NEEDLESS = {"lock", "reserve"}
"""Places that hold no data."""


def choose(store: Path, place: str, how: str, rng: random.Random) -> Harm | None:
    """Choose a damage of a kind; None where there is nothing to flip."""
    file, at = PLACES[place](store, rng)
    if how != "remove" and not (store / file).stat().st_size:
        return None
    return Harm(file, how, at)
