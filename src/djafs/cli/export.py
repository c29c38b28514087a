"""``djafs export``: a live tree, or that of any day, as a tar or a directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from djafs.cli.command import Command
from djafs.cli.parameters import human_size
from djafs.cli.statuses import INTERRUPTED, OK, PARTIAL
from djafs.printable import printable

if TYPE_CHECKING:
    from djafs.tools.export.summary import ExportSummary


@click.command(
    "export",
    cls=Command,
    short_help="Write a tree, or that of any day, as a tar or a directory.",
    example="djafs export /srv/store documents.tar.zst\n"
    "djafs export /srv/store@2026-09-20 /srv/as-it-was\n"
    "djafs export /mnt/archive/snapshots/2026/09/20 - | ssh backup tar -x",
)
@click.option("-v", "--verbose", is_flag=True, help="Say now and then how far it is.")
@click.option("--compression-level", "level", metavar="1..19", type=click.IntRange(1, 19),
              default=9, show_default=True, help="zstd level of a .tar.zst.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.argument("source", metavar="STORE[@DAY]|PATH", type=click.UNPROCESSED)
@click.argument("output", metavar="OUT.tar[.zst]|DIR|-", type=click.UNPROCESSED)
def command(verbose: bool, level: int, as_json: bool, source: str, output: str) -> int:
    """Write the live tree of STORE, or that of a DAY (YYYY-MM-DD), or what is at PATH in a mount.

    The output is a tar if its name ends in .tar or .tar.zst, a tar on stdout if it is -, else a
    directory. Every content is verified by its checksum before it is written.
    """
    from djafs.cli.interrupts import stopping  # noqa: PLC0415 (help is shown without)
    from djafs.cli.places import resolve  # noqa: PLC0415
    from djafs.cli.progress import State, progress  # noqa: PLC0415
    from djafs.tools.export.run import export  # noqa: PLC0415

    store, day, below = resolve(source)
    with progress(verbose) as display, stopping() as stop:

        def tick(summary: ExportSummary) -> bool:
            display.show(State(summary.files, bytes=summary.bytes_out))
            return bool(stop)

        summary = export(store, day, below, output, tick, level=level)
    for problem in summary.problems:
        click.echo(f"djafs: {printable(problem.path)}: {printable(problem.what)}", err=True)
    said = json.dumps(summary.as_json()) if as_json else _sentence(summary)
    click.echo(said, err=output == "-")
    if summary.interrupted:
        return INTERRUPTED
    return PARTIAL if summary.problem_count else OK


def _sentence(summary: ExportSummary) -> str:
    text = (
        f"{summary.files:,} files, {human_size(summary.bytes_out)}; "
        f"{summary.directories:,} directories, {summary.links:,} hard links, "
        f"{summary.others:,} others in {summary.seconds:.1f} s"
    )
    if summary.interrupted:
        text += "; interrupted"
    if summary.problem_count:
        text += f"; {summary.problem_count:,} not exported"
    return text
