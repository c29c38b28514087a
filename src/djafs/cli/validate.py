"""``djafs validate``: check a store."""

from __future__ import annotations

import os

import click

from djafs.cli.command import Command
from djafs.printable import printable


@click.command(
    "validate", cls=Command, short_help="Check a store.", example="djafs validate -p /srv/store -v"
)
@click.option(
    "-p",
    "--path",
    metavar="PATH",
    required=True,
    type=click.Path(),
    help="The store's directory (STORAGE_PATH of djafs mount).",
)
@click.option("-v", "--verbose", is_flag=True, help="Also say what was checked.")
def command(path: str, verbose: bool) -> int:
    """Check every archive, the lookup log, the index and the hot cache of a store.

    Changes nothing, and also works while the store is mounted. Each error names the files it
    affects and what to do next; the last line gives their number.
    """
    from djafs.tools.validate import validate  # noqa: PLC0415 (help is shown without)

    def report(line: str) -> None:
        click.echo(printable(line))

    return validate(os.path.abspath(path), verbose=verbose, report=report)
