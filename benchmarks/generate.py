"""Stores of millions of files, made through the library: there need be no such files elsewhere.

The first thousand documents are brought in by ``djafs convert``. All others share their contents,
as duplicates do, and are recorded as convert records them: the records go into the lookup log and
the log into the index. The result is a store like any other: ``djafs validate`` finds nothing, and
it can be mounted, changed and packed.

    python benchmarks/generate.py STORE FILES
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from pathlib import Path

import documents
import images

from djafs.disk.records import Create, File, Record
from djafs.model import LIVE_ROOT, Inode
from djafs.store.log_keeper import LogKeeper
from djafs.store.store import Store

PER_DIRECTORY = 1000
DIRECTORIES = 100
"""Directories of files in each station: no directory is larger than :data:`PER_DIRECTORY`."""

BATCH = 8_192
"""Changes after which the index is brought up to date, as convert does it.

Nobody else does that here, and with twice as many pending the store waits for it.
"""

FIRST = int(documents.FIRST_DAY.timestamp())
DAY = 86_400
DIRECTORY = 0o040755


def directory_name(number: int) -> str:
    """Return the path of a directory of files below the root of the tree."""
    return f"station-{number // DIRECTORIES:03d}/batch-{number % DIRECTORIES:02d}"


def file_name(number: int) -> str:
    """Return the path of a file below the root of the tree."""
    return f"{directory_name(number // PER_DIRECTORY)}/d-{number % PER_DIRECTORY:06d}.json"


def modified(number: int) -> int:
    """Return the modification time of a file, in seconds: the directories of a station are days."""
    place, within = divmod(number, PER_DIRECTORY)
    return FIRST + place % DIRECTORIES * DAY + within


def generate(root: Path, files: int) -> float:
    """Make a store of *files* files, a multiple of a thousand; return the seconds it took."""
    begin = time.monotonic()
    source = root.with_name(root.name + "-source")
    write_first(source)
    try:
        images.make_store(source, root)
    finally:
        shutil.rmtree(source)
    store = Store.open(str(root))
    try:
        store.recovered.writing.connection.execute("PRAGMA cache_size = -65536")
        record_others(store, files)
    finally:
        store.close()
    return time.monotonic() - begin


def write_first(source: Path) -> None:
    """Write the first directory of documents, whose contents are then shared."""
    rng = random.Random("shared contents")
    for number in range(PER_DIRECTORY):
        path = source / file_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = rng.randrange(2200, 2900)
        path.write_bytes(documents.sensor_document(rng, number, documents.FIRST_DAY, size))
        os.utime(path, (modified(number), modified(number)))


def record_others(store: Store, files: int) -> None:
    """Record all files behind the first thousand."""
    with store.guard:
        stations = {0: named(store, LIVE_ROOT, b"station-000").ino}
        first = named(store, stations[0], b"batch-00").ino
        shared = [(e.inode.size, e.inode.extents[0].base) for e in entries(store, first)]
        ino = store.tree.next_ino
    batch: list[Record] = []
    for place in range(1, files // PER_DIRECTORY):
        station, within = divmod(place, DIRECTORIES)
        if station not in stations:
            stations[station] = ino
            batch.append(directory(LIVE_ROOT, f"station-{station:03d}", ino))
            ino += 1
        parent = ino
        batch.append(directory(stations[station], f"batch-{within:02d}", parent))
        for number in range(PER_DIRECTORY):
            ino += 1
            size, content = shared[(number * 7919 + place) % PER_DIRECTORY]
            mtime = modified(place * PER_DIRECTORY + number) * 10**9
            name = f"d-{number:06d}.json"
            batch.append(File(0, 0, parent, name, ino, 0o100644, 0, 0, size, mtime, None, content))
        ino += 1
        if len(batch) >= BATCH:
            write(store, batch)
            batch = []
    write(store, batch)
    LogKeeper(store).close_log()


def named(store: Store, parent: int, name: bytes) -> Inode:
    """Return what has a name in the live tree."""
    dentry = store.dentry(parent, name)
    assert dentry is not None
    inode = store.inode(dentry.ino)
    assert inode is not None
    return inode


def entries(store: Store, parent: int) -> list:
    return store.tree.entries(parent, 0, PER_DIRECTORY, plus=True)


def directory(parent: int, name: str, ino: int) -> Create:
    return Create(0, 0, parent, name, ino, DIRECTORY, 0, 0, 0, None, FIRST * 10**9)


def write(store: Store, batch: list[Record]) -> None:
    """Log a batch, and bring the index up to date."""
    now = store.clock()
    for record in batch:
        record.t = now
    with store.guard:
        store.record_all(batch)
    store.syncer.flush()


if __name__ == "__main__":
    took = generate(Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{int(sys.argv[2]) / took:,.0f} files/s")
