"""One large file that is not archived yet: written and read from its beginning to its end."""

from __future__ import annotations

import measure
from bench import Bench, Table, Turn, take_turns

ROWS = {
    "write": "write a new file of {mib} MiB, per MiB",
    "read_first": "read it, first, per MiB",
    "read_again": "read it again, per MiB",
}


def large_file(bench: Bench) -> None:
    """Time writing and reading one large file in pieces of 1 MiB."""
    settings = bench.settings
    mib = settings.stream_mib
    rows = {key: title.format(mib=mib) for key, title in ROWS.items()}
    for mode in settings.modes:
        table = Table(
            f"large-{mode}",
            f"One large file, {mode}",
            rows,
            about="Pieces of 1 MiB. What was written is compared with what is read, off the clock.",
        )

        def turn(turn: Turn, table: Table = table) -> None:
            with turn.mounted() as where:
                measure.stream(where, "write", where.root / "warm-up", 8)
                path = where.root / "large"
                for row in rows:
                    step = "write" if row == "write" else "read"
                    timing = measure.stream(where, step, path, mib)
                    table.add(row, turn.peer.key, timing.mean)

        take_turns(bench, table, settings.in_mode(settings.rounds, mode), mode, turn)
