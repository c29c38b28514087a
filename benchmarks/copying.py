"""Copying trees in with rsync: all of it, then with nothing to do, warm and cold."""

from __future__ import annotations

import documents
import measure
import toolchain
from bench import Bench, Table, Turn, take_turns

ABOUT = (
    "Cold: a new daemon, and the kernel's caches dropped; the source is in the cache again before "
    "the clock runs."
)


def rsync(bench: Bench) -> None:
    """Time ``rsync -a`` of many small files into every peer, then with nothing to do."""
    settings = bench.settings
    tree = documents.write_sensor_tree(bench.scratch / "rsync-source", settings.rsync_files)
    program = toolchain.program("rsync")
    rows = {
        "rsync": f"`rsync -a` of {tree.files:,} files, per file",
        "rsync_again": "the same again, nothing changed, warm, per file",
        "rsync_cold": "the same again, nothing changed, cold, per file",
    }
    for mode in settings.modes:
        table = Table(f"rsync-{mode}", f"rsync, {mode}", rows, about=ABOUT)

        def turn(turn: Turn, table: Table = table) -> None:
            seconds = {}
            with turn.mounted() as where:
                target = measure.make_directory(where, "target")
                command = [program, "-a", f"{tree.path}/", f"{target}/"]
                for row in ("rsync", "rsync_again"):
                    seconds[row] = measure.timed(where, command)
                measure.expect_files(where, target, tree.files)
            if measure.can_drop_caches():
                with turn.mounted_cold() as where:
                    documents.warm(tree.path)
                    seconds["rsync_cold"] = measure.timed(where, command)
            for row, value in seconds.items():
                table.add(row, turn.peer.key, value / tree.files * 1e6)

        take_turns(bench, table, settings.in_mode(settings.rsync_rounds, mode), mode, turn)
