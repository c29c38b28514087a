"""What the filesystems are fed: JSON documents, generated, or real ones where there are any.

Generated documents look like what a subscriber to a queue of measurements writes: one document
per station and hour, values that drift and jitter, identifiers that never repeat. Everything is
drawn from seeded generators: two runs write the same bytes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent

QUANTITIES = (
    ("air_temperature", "degC", 9.0, 6.0),
    ("relative_humidity", "%", 71.0, 14.0),
    ("air_pressure", "hPa", 1008.0, 9.0),
    ("wind_speed", "m/s", 4.2, 2.5),
    ("wind_direction", "deg", 190.0, 80.0),
    ("pm10", "ug/m3", 17.0, 8.0),
    ("nitrogen_dioxide", "ug/m3", 21.0, 9.0),
)
FIRST_DAY = datetime(2024, 3, 1, tzinfo=timezone.utc)
SMALL = 2560
"""Bytes of a small document in the memory workload; the generated trees average about this."""


@dataclass(frozen=True)
class Tree:
    """A directory tree that serves as a source: what it is, and what it weighs."""

    name: str
    path: Path
    files: int
    size: int
    """Bytes of content, added up."""
    allocated: int
    """Bytes that the source takes on its own disk (blocks of files and directories)."""


def reading(rng: random.Random, moment: datetime) -> dict[str, object]:
    """One measured value."""
    quantity, unit, mean, spread = rng.choice(QUANTITIES)
    return {
        "quantity": quantity,
        "value": round(rng.gauss(mean, spread), 2),
        "unit": unit,
        "observed_at": moment.isoformat(),
        "quality": "suspect" if rng.random() < 0.03 else "good",
    }


def sensor_document(rng: random.Random, station: int, moment: datetime, size: int) -> bytes:
    """One station's document for one hour, of about *size* bytes (never more).

    It begins with a sequence number of 16 zeros, over which the client writes its own.
    """
    head = {
        "sequence": "0" * 16,
        "station": {
            "id": f"urn:station:{station:04d}",
            "name": f"Station {station:04d}",
            "latitude": round(47 + (station * 37 % 800) / 100, 4),
            "longitude": round(6 + (station * 53 % 900) / 100, 4),
        },
        "message_id": f"{rng.getrandbits(128):032x}",
        "published_at": (moment + timedelta(seconds=rng.randrange(40, 200))).isoformat(),
    }
    start = json.dumps(head, separators=(",", ":"))[:-1] + ',"readings":['
    readings: list[str] = []
    room = size - len(start) - len("]}\n")
    while True:
        at = moment + timedelta(seconds=10 * len(readings))
        text = json.dumps(reading(rng, at), separators=(",", ":"))
        if len(text) + 1 > room:
            return f"{start}{','.join(readings)}]}}\n".encode()
        room -= len(text) + 1
        readings.append(text)


def write_blob(path: Path, documents: int, size: int) -> Path:
    """Write *documents* documents of exactly *size* bytes, one after the other, for the client."""
    rng = random.Random(f"blob {size}")
    with path.open("wb") as blob:
        for number in range(documents):
            moment = FIRST_DAY + timedelta(hours=number)
            # White space after a document is still JSON.
            blob.write(sensor_document(rng, number % 60, moment, size - 1).ljust(size - 1) + b"\n")
    return path


def write_sensor_tree(where: Path, files: int, stations: int = 40) -> Tree:
    """Write documents of about 2.5 KB as STATION/YYYY-MM-DD/HHMM.json, with their hour as mtime."""
    for number in range(files):
        station, hour = number % stations, number // stations
        rng = random.Random(f"document {number}")
        moment = FIRST_DAY + timedelta(hours=hour)
        directory = where / f"station-{station:03d}" / f"{moment:%Y-%m-%d}"
        if not directory.is_dir():
            directory.mkdir(parents=True)
        path = directory / f"{moment:%H%M}.json"
        path.write_bytes(sensor_document(rng, station, moment, rng.randrange(2200, 2900)))
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    return weigh("sensor documents (generated)", where)


def weigh(name: str, path: Path) -> Tree:
    """Count and weigh a tree, and leave its attributes and content in the page cache."""
    files = size = allocated = 0
    for parent, _, names in os.walk(path):
        allocated += os.lstat(parent).st_blocks * 512
        for entry in names:
            file = os.path.join(parent, entry)
            files += 1
            with open(file, "rb") as content:
                size += len(content.read())
            allocated += os.lstat(file).st_blocks * 512
    return Tree(name, path, files, size, allocated)


def warm(path: Path) -> None:
    """Read a tree, so that the kernel has its names, attributes and content in memory."""
    weigh("", path)


def find_corpus(name: str) -> Path | None:
    """Look for NAME.tar.zst where the repository, or a checkout beside it, keeps real documents."""
    root = HERE.parent
    for place in (root / "examples", root / "tests", root.parent / "shared" / "corpora"):
        if place.is_dir():
            for found in sorted(place.rglob(f"{name}*.tar.zst")):
                return found
    return None


def unpack_corpus(name: str, where: Path) -> Tree | None:
    """Unpack a real set of documents with its modification times; None where there is none."""
    archive = find_corpus(name)
    if archive is None:
        return None
    where.mkdir(parents=True)
    subprocess.run(["tar", "--zstd", "-xf", str(archive), "-C", str(where)], check=True)
    return weigh(f"{name} (real)", where)
