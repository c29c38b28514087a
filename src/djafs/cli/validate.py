"""``djafs validate``: check a store."""

from __future__ import annotations

import os
import sys

import click

from djafs.cli.command import Command
from djafs.cli.statuses import ERRORS_LEFT, OK
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
@click.option(
    "--checksums",
    is_flag=True,
    help="Also print lines for sha256sum --check; PATH may be STORE@DAY, or lie in a mount.",
)
def command(path: str, verbose: bool, checksums: bool) -> int:
    """Check every archive, the lookup log, the index and the hot cache of a store.

    Changes nothing, and also works while the store is mounted. Each error names the files it
    affects and what to do next; the last line gives their number.
    """
    from djafs.tools.validate import validate  # noqa: PLC0415 (help is shown without)

    def report(line: str) -> None:
        click.echo(printable(line), err=checksums)

    if not checksums:
        return validate(os.path.abspath(path), verbose=verbose, report=report)
    from djafs.cli.places import resolve  # noqa: PLC0415 (only where it is asked for)

    store, day, below = resolve(path)
    status = validate(store, verbose=verbose, report=report)
    return max(status, _print_checksums(store, day, below))


def _print_checksums(store: str, day: int, below: bytes) -> int:
    from djafs.tools.checksums import write_checksums  # noqa: PLC0415 (as above)
    from djafs.tools.export.view import open_view  # noqa: PLC0415 (as above)

    status = OK

    def complain(path: bytes, what: str) -> None:
        nonlocal status
        status = ERRORS_LEFT
        click.echo(f"djafs: {printable(os.fsdecode(path))}: {printable(what)}", err=True)

    out = sys.stdout.buffer
    with open_view(store, day, below) as view:
        write_checksums(view, out.write, complain)
    return status
