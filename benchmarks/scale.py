"""djafs at ten thousand and at ten million files: time to the first answer, memory, cost per file.

The stores are generated (``generate.py``); of each, all is measured on a fresh mount with the index
in the page cache.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import generate
import measure
import mounts
import peers
import space
from bench import Bench, Table, Turn, say
from peers import Peer

SAMPLE = 4000
"""Files that are looked up, read and so on in each store."""

DIRECTORIES = 400
"""Directories that the sample is taken from, where there are so many."""

FIRST_ANSWERS = 3
"""Mounts of which the median is taken."""

FEW = 10
"""Directories of the other sample: as many as the smallest store has."""

STEPS = {"lookup": "stat:lookup", "stat": "stat", "read": "read", "create": "make:create"}
ROWS = {
    "lookup": "lookup of a name (first stat)",
    "stat": "stat, warm",
    "list": "list a directory of 1,000, first",
    "read": "open + read + close, first",
    "create": "create + write + close, 600 bytes",
    "lookup_wide": "lookup, at random over the tree",
    "read_wide": "open + read + close, at random over the tree",
    "create_wide": "create, at random over the tree",
}


def scale(bench: Bench) -> None:
    """Measure stores of growing size."""
    peer = bench.djafs()
    if peer is None:
        return
    sizes = bench.settings.scale_files
    table = Table(
        "scale-pinned",
        "Growing stores, pinned",
        ROWS,
        {str(files): f"{files:,} files" for files in sizes},
        subject=str(sizes[-1]),
        about=f"Generated stores, directories of 1,000 files, index in the page cache. A sample of "
        f"{SAMPLE:,} files, in random order: of {FEW} directories, as all of the smallest store; "
        f"or “at random over the tree”: of up to {DIRECTORIES} directories, where there are so "
        "many.",
    )
    bench.tables.append(table)
    for files in sizes:
        with peers.place(peer, bench.scratch) as place:
            generated(bench, place.backing, files)
            cores = bench.cores(bench.settings.modes[0])
            for row, value in costs(Turn(peer, place, cores), files, bench.scratch).items():
                table.add(row, str(files), value)
            if files == sizes[-1]:
                resident(bench, Turn(peer, place, None), files)


def generated(bench: Bench, root: Path, files: int) -> None:
    """Make a store, and note how large its log and its index are."""
    seconds = generate.generate(root, files)
    say(f"a store of {files:,} files: {files / seconds:,.0f} files/s")
    of = f"{files:,} files"
    for key, what, path in (("log", "lookup log", "lookups"), ("index", "index", "index.sqlite")):
        size = space.bytes_below(root / path) / files
        bench.gauge(
            f"scale-{key}-{files}", f"{what} of a generated store", size, "bytes per file", of
        )
    bench.gauge(f"scale-made-{files}", "made through the library", files / seconds, "files/s", of)


def sample(files: int, seed: str, most: int = DIRECTORIES) -> tuple[list[str], list[str]]:
    """Draw up to *most* directories, and files in them."""
    rng = random.Random(seed)
    total = max(1, files // generate.PER_DIRECTORY)
    numbers = rng.sample(range(total), min(most, total))
    each = min(SAMPLE // len(numbers), generate.PER_DIRECTORY)
    chosen = [
        generate.file_name(number * generate.PER_DIRECTORY + within)
        for number in numbers
        for within in rng.sample(range(generate.PER_DIRECTORY), each)
    ]
    rng.shuffle(chosen)
    return [generate.directory_name(number) for number in numbers], chosen


def lines(where: Path, paths: Iterable[str]) -> Path:
    """Write paths into a file, a line each."""
    where.write_text("".join(f"{path}\n" for path in paths))
    return where


def costs(turn: Turn, files: int, scratch: Path) -> dict[str, float]:
    """Return microseconds per operation."""
    read_through(turn.place.backing / "index.sqlite")
    found = {}
    for suffix, most in (("", FEW), ("_wide", DIRECTORIES)):
        directories, chosen = sample(files, f"sample of {files} from {most}", most)
        wanted = lines(scratch / "sample", chosen)
        places = lines(scratch / "directories", directories)
        new = lines(scratch / "new", (f"{path[:-5]}-new{suffix}.json" for path in chosen))
        for asked, steps in ((wanted, ["lookup", "stat", "read"]), (new, ["create"])):
            with turn.mounted() as where:
                measure.paths(where, where.root, places, ["stat"])
                timings = measure.paths(where, where.root, asked, [STEPS[s] for s in steps])
                found.update({row + suffix: timing.mean for row, timing in timings.items()})
        if not suffix:
            with turn.mounted() as where:
                measure.paths(where, where.root, places, ["stat"])
                found["list"] = measure.paths(where, where.root, places, ["list"])["list"].mean
    return {row: value for row, value in found.items() if row in ROWS}


def read_through(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def resident(bench: Bench, turn: Turn, files: int) -> None:
    """Read the daemon's memory while a large store is walked, read and written to."""
    made = sum(len(sample(files, "", most)[1]) for most in (FEW, DIRECTORIES))
    _, chosen = sample(files, "memory")
    wanted = lines(bench.scratch / "sample", chosen)
    new = lines(bench.scratch / "new", (f"{path[:-5]}-more.json" for path in chosen))
    with turn.mounted() as where:
        note = space.memory_notes(bench, where, "scale")
        note("start", f"{files:,} files in the index, just mounted")
        begin = time.monotonic()
        measure.expect_files(where, where.root, files + made)
        per_file = (time.monotonic() - begin) / files * 1e6
        bench.gauge("scale-walk", f"`find -type f` over {files:,} files", per_file, "µs per file")
        note("walked", "all of them walked")
        measure.paths(where, where.root, wanted, ["read"])
        measure.paths(where, where.root, new, ["make"])
        space.pack(where)
        note("packed", f"{len(chosen):,} read, as many made and packed")


def first_answer(bench: Bench) -> None:
    """Time from the start of ``djafs mount`` to the first answer of a clean store."""
    peer = bench.djafs()
    if peer is None:
        return
    files = bench.settings.first_answer_files
    with peers.place(peer, bench.scratch) as place:
        generate.generate(place.backing, files)
        for cold in (False, True) if measure.can_drop_caches() else (False,):
            taken = [mount_once(peer, place, files, cold) for _ in range(FIRST_ANSWERS)]
            bench.gauge(
                f"first-answer-{'cold' if cold else 'warm'}",
                f"from `djafs mount` to the first file's attributes, {files:,} files, clean, "
                f"{'cold' if cold else 'warm'}",
                statistics.median(taken),
                "s",
            )


def mount_once(peer: Peer, place: peers.Place, files: int, cold: bool) -> float:
    """Mount, ask for one file, unmount; return the seconds up to the answer."""
    if cold:
        measure.drop_caches()
    begin = time.perf_counter()
    with peer.mount(place.mounted(None)) as where:
        where.run(["stat", where.root / generate.file_name(files // 2)])
        seconds = time.perf_counter() - begin
    if mounts.mounted_below(place.mountpoint):
        raise mounts.MountError("still mounted")
    return seconds


PAST_ROWS = {
    "lookup": "lookup of a name in an open directory, first",
    "list": "list a directory of 1,000, first",
    "read": "open + read + close in an open directory, first",
    "lookup_again": "the same names again",
    "read_again": "the same files again",
    "path": "stat of a path of three names, first",
}
PAST_DIRECTORIES = 10


def past(bench: Bench) -> None:
    """Compare a day's snapshot with ``live/``."""
    peer = bench.djafs()
    if peer is None:
        return
    files = bench.settings.past_files
    table = Table(
        "past-pinned",
        "A day's snapshot and live, pinned",
        PAST_ROWS,
        {"past": "a day's snapshot", "live": "live"},
        subject="past",
        about=f"A generated store of {files:,} files, the day being the last one that it shows. "
        "“Again” is answered from the kernel's caches in `live/`; for a snapshot the kernel keeps "
        "no names, because data with an old modification time may arrive any day.",
    )
    bench.tables.append(table)
    with peers.place(peer, bench.scratch) as place:
        generate.generate(place.backing, files)
        turn = Turn(peer, place, bench.cores(bench.settings.modes[0]))
        for number in range(3):
            say(f"snapshots: round {number + 1}")
            for column in ("past", "live"):
                for row, value in past_costs(turn, files, bench.scratch, column).items():
                    table.add(row, column, value)


def past_costs(turn: Turn, files: int, scratch: Path, column: str) -> dict[str, float]:
    """Return microseconds per operation, in ``live/`` or in the newest day's snapshot."""
    directories, chosen = sample(files, "past")
    wanted = lines(scratch / "sample", chosen)
    places = lines(scratch / "directories", directories)
    read_through(turn.place.backing / "index.sqlite")
    found: dict[str, list[float]] = {row: [] for row in PAST_ROWS}
    with turn.mounted() as where:
        root = newest_day(where) if column == "past" else where.root
        measure.paths(where, root, places, ["stat"])
        found["list"].append(measure.paths(where, root, places, ["list"])["list"].mean)
    with turn.mounted() as where:
        root = newest_day(where) if column == "past" else where.root
        measure.paths(where, root, places, ["stat"])
        found["path"].append(measure.paths(where, root, wanted, ["stat"])["stat"].mean)
    steps = ["stat:lookup", "stat:lookup_again", "read", "read:read_again"]
    with turn.mounted() as where:
        root = newest_day(where) if column == "past" else where.root
        for directory in directories[:PAST_DIRECTORIES]:
            names = [path.rpartition("/")[2] for path in chosen if path.startswith(directory)]
            within = lines(scratch / "names", names)
            for row, timing in measure.paths(where, root / directory, within, steps).items():
                found[row].append(timing.mean)
    return {row: statistics.fmean(values) for row, values in found.items()}


def newest_day(where: mounts.Mounted) -> Path:
    """Return the directory of the newest day that saw a change."""
    days = where.mountpoint / "snapshots"
    command = ["find", days, "-maxdepth", "3", "-regex", ".*/[0-9]+/[0-9]+/[0-9]+"]
    found = where.run(command).split()
    return Path(sorted(found)[-1])
