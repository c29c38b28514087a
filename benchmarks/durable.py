"""Creating files that are durable once they are closed, by one writer and by sixteen.

djafs is mounted with ``--durable close``, so that close(2) waits; with all others the client calls
fsync(2) before it closes.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import documents
import measure
from bench import Bench, Table, Turn, take_turns
from measure import Load
from mounts import Mounted

BLOCK = 12 * 1024
WRITERS = (1, 16)


def durable(bench: Bench) -> None:
    """Time creates that are durable at close, all writers together."""
    settings = bench.settings
    files = settings.durable_files
    blob = documents.write_blob(bench.scratch / "durable-blob", files, BLOCK)
    load = Load(files, blob, BLOCK)
    rows = {
        f"writers-{writers}": f"create + write + close, 12 KiB, durable, {writers} "
        + ("writer" if writers == 1 else "writers at once")
        for writers in WRITERS
    }
    for mode in settings.modes:
        table = Table(
            f"durable-{mode}",
            f"Durable at close, {mode}",
            rows,
            about="djafs: `--durable close`; all others: fsync(2) before close(2). The time of all "
            f"writers together, for each file; {files:,} files a writer, in its own directory.",
        )

        def turn(turn: Turn, table: Table = table) -> None:
            ours = turn.peer.key == "djafs"
            phase = "create" if ours else "durable"
            with turn.mounted(*(("--durable", "close") if ours else ())) as where:
                for writers in WRITERS:
                    seconds = together(where, load, phase, writers)
                    per_file = seconds / (writers * files) * 1e6
                    table.add(f"writers-{writers}", turn.peer.key, per_file)

        take_turns(bench, table, settings.in_mode(settings.durable_rounds, mode), mode, turn)


def together(where: Mounted, load: Load, phase: str, writers: int) -> float:
    """Return the seconds that so many clients take, each with files of its own."""
    paths = [measure.make_directory(where, f"{writers}-{n}") for n in range(writers)]

    def one(job: tuple[int, Path]) -> None:
        number, path = job
        measure.run_client(where, path, load, number * load.count, [phase])

    with ThreadPoolExecutor(writers) as pool:
        begin = time.perf_counter()
        list(pool.map(one, enumerate(paths)))
        return time.perf_counter() - begin
