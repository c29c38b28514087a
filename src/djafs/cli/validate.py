"""``djafs validate``: check a store."""

from __future__ import annotations

import os
import sys

import click

from djafs.cli.command import Command
from djafs.cli.statuses import ERRORS_LEFT, OK
from djafs.printable import printable


@click.command(
    "validate",
    cls=Command,
    short_help="Check a store, and repair it.",
    example=(
        "djafs validate -p /srv/store -v\n"
        "djafs validate -p /srv/store -v -r\n"
        "djafs validate -p /srv/store -r --from /data/archive"
    ),
)
@click.option(
    "-p",
    "--path",
    metavar="PATH",
    required=True,
    type=click.Path(),
    help="The store's directory (STORAGE_PATH of djafs mount).",
)
@click.option("-v", "--verbose", is_flag=True, help="Also say what was checked, and repaired.")
@click.option("-r", "--repair", is_flag=True, help="Repair what can be repaired.")
@click.option(
    "--from",
    "sources",
    metavar="DIR",
    multiple=True,
    type=click.Path(),
    help="With -r: a copy of documents, to take lost content from; may be repeated.",
)
@click.option(
    "--checksums",
    is_flag=True,
    help="Also print lines for sha256sum --check; PATH may be STORE@DAY, or lie in a mount.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
def command(
    path: str,
    verbose: bool,
    repair: bool,
    sources: tuple[str, ...],
    checksums: bool,
    as_json: bool,
) -> int:
    """Check every archive, the lookup log, the index and the hot cache of a store.

    Works while the store is mounted, too. Each error names the files it affects and what to do
    next; the last line gives their number. Without -r nothing is changed.

    -r restores what can be restored: from what is left, from other places of the store that hold
    the same content, and from the directories given with --from. Damaged originals are kept in
    damaged/ of the store. What is lost stays named, and reading it gives an error; every later -r
    looks for it again.
    """
    if sources and not repair:
        raise click.UsageError("--from needs -r: only a repair takes content from elsewhere")
    if repair and (checksums or as_json):
        raise click.UsageError("-r goes with neither --checksums nor --json: repair first")
    if repair:
        return _repair(os.path.abspath(path), list(sources), verbose)
    if not checksums:
        return _check(os.path.abspath(path), verbose, as_json, to_stderr=False)
    if as_json:
        raise click.UsageError("--checksums prints lines of its own, which are no JSON")
    from djafs.cli.places import resolve  # noqa: PLC0415 (only where it is asked for)

    store, day, below = resolve(path)
    status = _check(store, verbose, as_json, to_stderr=True)
    return max(status, _print_checksums(store, day, below))


def _check(store: str, verbose: bool, as_json: bool, *, to_stderr: bool) -> int:
    from djafs.cli.progress import State, progress  # noqa: PLC0415 (help is shown without)
    from djafs.tools.validate import validate  # noqa: PLC0415

    with progress(verbose) as display:

        def report(line: str) -> None:
            display.hide()
            click.echo(line if as_json else printable(line), err=to_stderr)

        def meter(what: str, done: int, total: int, sized: bool) -> None:
            display.show(State(done, total, what, sized=sized))

        return validate(store, verbose=verbose, report=report, as_json=as_json, meter=meter)


def _repair(path: str, sources: list[str], verbose: bool) -> int:
    from djafs.disk.layout import Layout  # noqa: PLC0415 (help is shown without)
    from djafs.mounting.repairing import daemon_of  # noqa: PLC0415 (as above)
    from djafs.tools.repair.run import Repair  # noqa: PLC0415 (as above)

    def report(line: str) -> None:
        click.echo(printable(line))

    daemon = daemon_of(Layout(path))
    return Repair(path, sources, verbose=verbose, report=report, daemon=daemon).run()


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
