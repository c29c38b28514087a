"""A small store that has something of everything, to be damaged and repaired."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from djafs.disk.host import Host
from djafs.errors import DamageError
from djafs.store.log_keeper import LogKeeper
from djafs.tools.repair.run import Repair
from rig.small_store import DAY, NOON, ROOT, SmallStore

Past = dict[tuple[int, bytes], bytes]


@dataclass
class Contents:
    """Every file in the root of a store, now and on its days; what gives EIO is left out."""

    live: dict[bytes, bytes] = field(default_factory=dict)
    past: Past = field(default_factory=dict)
    lost: set[bytes] = field(default_factory=set)  # names, live or past


def build(path: Path, source: Path) -> Contents:
    """Make a store with archives, hot content, closed segments and a checkpoint.

    ``source`` becomes a copy of what is live, with older versions in ``older/``. Return what is in
    the store.
    """
    rng = random.Random(7)
    small = SmallStore(path, now=NOON - 2 * DAY)
    for number in range(6):
        small.file(b"old-%d.json" % number, rng.randbytes(3000 + number))
    small.collect()
    LogKeeper(small.store).checkpoint()
    small.now += DAY
    for number in range(0, 6, 2):
        dentry = small.store.dentry(ROOT, b"old-%d.json" % number)
        assert dentry is not None
        small.write(dentry.ino, rng.randbytes(3500 + number))
    for number in range(3):
        small.file(b"more-%d.json" % number, rng.randbytes(300_000 + number))
    small.collect()
    keeper = LogKeeper(small.store)
    keeper.close_log()
    small.now += DAY
    for number in range(4):
        small.file(b"hot-%d.json" % number, rng.randbytes(2000 + number))
    small.file(b"large.json", rng.randbytes(150_000))
    contents = Contents(small.live(), small.past())
    small.close()
    source.mkdir()
    for name, content in contents.live.items():
        (source / os.fsdecode(name)).write_bytes(content)
    (source / "older").mkdir()
    for (day, name), content in contents.past.items():
        (source / "older" / f"{os.fsdecode(name)}.{day}").write_bytes(content)
    return contents


def look(path: Path, now: int = NOON + DAY) -> Contents:
    """Read every file; those that cannot be read are named."""
    small = SmallStore(path, now=now)
    store, found = small.store, Contents()
    with store.guard:
        entries = store.tree.entries(ROOT, 0, 10_000, plus=True)
    for entry in entries:
        if entry.inode is None or not entry.inode.is_regular:
            continue
        try:
            found.live[entry.name] = store.reads.live(entry.ino, 0, entry.inode.size)
        except DamageError:
            found.lost.add(entry.name)
    store.syncer.flush()
    for day in store.snapshots.days():
        for entry in store.snapshots.entries(ROOT, None, 10_000, day):
            if entry.inode.is_regular:
                try:
                    content = store.reads.past(entry.inode, 0, entry.inode.size)
                    found.past[day, entry.name] = content
                except DamageError:
                    found.lost.add(entry.name)
    small.close()
    return found


def repair(path: Path, *sources: Path, host: Host | None = None) -> tuple[int, list[str]]:
    """Do what ``djafs validate -v -r`` does; return its status and its lines."""
    lines: list[str] = []
    chosen = [os.fspath(source) for source in sources]
    run = Repair(os.fspath(path), chosen, verbose=True, report=lines.append, host=host)
    return run.run(), lines


def files_of(path: Path) -> list[Path]:
    """Return all files of a store but those that hold no data."""
    found = [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [file for file in found if file.name not in ("lock", "reserve")]


def damage(file: Path, kind: str, rng: random.Random) -> None:
    """Flip a bit of a file, cut it off, or remove it."""
    content = bytearray(file.read_bytes())
    if kind == "remove" or not content:
        file.unlink()
    elif kind == "flip":
        place = rng.randrange(len(content))
        content[place] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
    else:
        file.write_bytes(content[: rng.randrange(len(content))])


def assert_repaired(was: Contents, path: Path, status: int, lines: list[str]) -> None:
    """Assert that every file is what it was, or gives EIO and is named."""
    found = look(path)
    for here, there in ((found.live, was.live), (found.past, was.past)):
        assert {key: content for key, content in there.items() if key in here} == here
    lost = {name for name in was.live if name not in found.live}
    lost |= {key[1] for key in was.past if key not in found.past}
    assert lost == found.lost, "something is neither right nor known as lost"
    for name in map(os.fsdecode, lost):
        assert any(line.endswith("/" + name) and "affects" in line for line in lines), name
    assert status in ((4,) if lost else (0, 1)), lines
    assert lines[-1].startswith("0 errors") == (not lost)
