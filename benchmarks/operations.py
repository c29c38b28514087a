"""Single operations on small files: in directories of a thousand, and in one large tree."""

from __future__ import annotations

import statistics

import documents
import measure
from bench import UNDISTURBED, Bench, Table, Turn, take_turns
from measure import Load

BLOCK = 12 * 1024
"""Bytes of a file in the table of operations."""

OPERATIONS = {
    "create": "create + write + close, 12 KiB",
    "stat_new": "stat, first after that",
    "stat_warm": "stat, warm",
    "read_first": "open + read + close, first",
    "read_warm": "open + read + close, warm",
    "list_first": "list a directory of {files:,}, first",
    "list_warm": "list a directory of {files:,}, warm",
    "rename": "rename",
    "unlink": "unlink",
}
PHASES = (
    "create",
    "stat:stat_new",
    "stat:stat_warm:3",
    "read:read_first",
    "read:read_warm:3",
    "list:list_first",
    "list:list_warm:10",
    "verify",
    "rename",
    "unlink",
)
WARM_UP = ("create", "stat", "read:read:2", "list:list:2", "verify", "rename", "unlink")


def operations(bench: Bench) -> None:
    """Time single operations on small files, for every peer, pinned and unpinned."""
    settings = bench.settings
    blob = documents.write_blob(bench.scratch / "blob", settings.files, BLOCK)
    load = Load(settings.files, blob, BLOCK)
    # More files than any batch has: a multi-threaded daemon that holds a descriptor for each waits
    # 10 to 25 ms whenever its table of descriptors grows, which says nothing of the long run.
    warm_up = Load(settings.files * 5 // 4, blob, BLOCK)
    rows = {key: title.format(files=settings.files) for key, title in OPERATIONS.items()}
    for mode in settings.modes:
        about = "djafs does not pack meanwhile: “Creating while packing runs” has that."
        table = Table(f"operations-{mode}", f"Operations, {mode}", rows, about=about)

        def turn(turn: Turn, table: Table = table) -> None:
            with turn.mounted(*UNDISTURBED) as where:
                directory = measure.make_directory(where, "warm-up")
                measure.run_client(where, directory, warm_up, 10**15, WARM_UP)
                batches = []
                for number in range(settings.batches):
                    directory = measure.make_directory(where, f"batch-{number}")
                    first = number * settings.files
                    batches.append(measure.run_client(where, directory, load, first, PHASES))
            for row in rows:
                timings = [batch[row] for batch in batches]
                table.add(row, turn.peer.key, statistics.fmean(t.mean for t in timings))
                if row == "create":
                    table.add_tail(row, turn.peer.key, timings)

        take_turns(bench, table, settings.in_mode(settings.rounds, mode), mode, turn)


def large_tree(bench: Bench) -> None:
    """Time creating in one tree that keeps all its files: a daemon knows them all in the end."""
    settings = bench.settings
    per_directory = min(1000, settings.tree_files)
    blob = documents.write_blob(bench.scratch / "tree-blob", per_directory, documents.SMALL)
    load = Load(per_directory, blob, documents.SMALL)
    directories = settings.tree_files // per_directory
    rows = {
        "create": f"create + write + close, 2.5 KB, in a tree of {settings.tree_files:,} files",
        "create_last": "the same, the last thousand of them",
        "stat_first": "stat, all of them once",
    }
    mode = settings.modes[0]
    table = Table(
        f"tree-{mode}",
        f"Many files in one tree, {mode}",
        rows,
        about="Nothing is removed in between, so every daemon knows all files in the end. "
        "passthrough_ll as it comes keeps them in one list and walks it for each new file. djafs "
        "does not pack meanwhile.",
    )

    def turn(turn: Turn) -> None:
        with turn.mounted(*UNDISTURBED) as where:
            paths = [where.root / f"station-{number:04d}" for number in range(directories)]
            where.run(["mkdir", *paths])
            made = [
                measure.run_client(where, path, load, number * load.count, ["create"])["create"]
                for number, path in enumerate(paths)
            ]
            known = [measure.run_client(where, path, load, 0, ["stat"])["stat"] for path in paths]
        table.add("create", turn.peer.key, statistics.fmean(t.mean for t in made))
        table.add("create_last", turn.peer.key, made[-1].mean)
        table.add("stat_first", turn.peer.key, statistics.fmean(t.mean for t in known))

    take_turns(bench, table, 1, mode, turn)
