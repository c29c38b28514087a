"""``djafs convert``: a tree, or a store of the original djafs, into a store."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from djafs.cli.command import Command
from djafs.cli.parameters import checked_parity, checked_time_zone, human_size
from djafs.cli.statuses import INTERRUPTED, OK, PARTIAL
from djafs.printable import printable

if TYPE_CHECKING:
    from djafs.tools.convert.options import Options
    from djafs.tools.convert.summary import Summary


@click.command(
    "convert",
    cls=Command,
    short_help="Bring a tree into a store, without a mount.",
    example="djafs convert -i /srv/documents -o /srv/store -v\n"
    "djafs convert --delete -i /srv/documents -o /srv/store\n"
    "djafs convert -i /srv/old-djafs-store -o /srv/store",
)
@click.option("-i", "--input", "source", metavar="INPUT", required=True, type=click.Path(),
              help="The tree, or a store that the original djafs wrote.")  # fmt: skip
@click.option("-o", "--output", metavar="OUTPUT", required=True, type=click.Path(),
              help="The store; made if it does not exist.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Say now and then how far it is.")
@click.option("--dry-run", is_flag=True, help="Change nothing, say what would be done.")
@click.option("--legacy", is_flag=True, help="Write the layout of the original djafs.")
@click.option("--checksum", is_flag=True, help="Compare contents, not size and time alone.")
@click.option("--delete", is_flag=True, help="Remove names that INPUT has not (any more).")
@click.option("--prefix", metavar="DIR", default="", help="Put the tree below live/DIR.")
@click.option("--compression-level", "level", metavar="1..19", type=click.IntRange(1, 19),
              default=9, show_default=True, help="zstd level of the archives.")  # fmt: skip
@click.option("--threads", metavar="N", type=click.IntRange(1, 256),
              help="Threads that compress.  [default: the processors, up to 4]")  # fmt: skip
@click.option("--one-file-system", is_flag=True,
              help="Leave out what lies on other filesystems.")  # fmt: skip
@click.option("--exclude", metavar="PATTERN", multiple=True,
              help="Leave out names like *.tmp or /cache/; may be repeated.")  # fmt: skip
@click.option("--time-zone", metavar="NAME", callback=checked_time_zone,
              help="Zone whose midnights end a snapshot's day; only for a new store."
              "  [default: UTC]")  # fmt: skip
@click.option("--parity", metavar="PERCENT|off", callback=checked_parity,
              help="Keep recovery data for archives, so much of their size; the store remembers it."
              "  [default: as the store has it, off for a new one]")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def command(
    source: str,
    output: str,
    verbose: bool,
    dry_run: bool,
    legacy: bool,
    checksum: bool,
    delete: bool,
    prefix: str,
    level: int,
    threads: int | None,
    one_file_system: bool,
    exclude: tuple[str, ...],
    time_zone: str | None,
    parity: int | None,
    as_json: bool,
) -> int:
    """Bring the tree INPUT into the store OUTPUT, which must not be mounted.

    Everything that rsync into live/ would bring is brought, without a mount and faster. Run
    again, it brings over what has changed since. What cannot be read is named, and the rest is
    done. Interrupted, it leaves a valid store, and goes on from there when run again.
    """
    from djafs.tools.convert.options import Options  # noqa: PLC0415 (help is shown without)

    options = Options(
        source=source,
        output=output,
        prefix=b"/".join(part for part in os.fsencode(prefix).split(b"/") if part not in b"."),
        checksum=checksum,
        delete=delete,
        dry_run=dry_run,
        level=level,
        threads=threads,
        one_file_system=one_file_system,
        exclude=exclude,
        time_zone=time_zone,
        parity=parity,
    )
    summary = _run(options, verbose, legacy=legacy)
    for problem in summary.problems:
        place = f"{printable(problem.path)}: " if problem.path else ""
        click.echo(f"djafs: {place}{printable(problem.what)}", err=True)
    if summary.problem_count > len(summary.problems):
        more = summary.problem_count - len(summary.problems)
        click.echo(f"djafs: and {more:,} more like these", err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    else:
        for line in lines(summary, dry_run=dry_run):
            click.echo(line)
    if summary.interrupted:
        return INTERRUPTED
    return PARTIAL if summary.problem_count else OK


def _run(options: Options, verbose: bool, *, legacy: bool) -> Summary:
    from djafs.cli.interrupts import stopping  # noqa: PLC0415 (help is shown without)
    from djafs.cli.progress import State, Total, progress  # noqa: PLC0415
    from djafs.tools.convert.estimate import estimate  # noqa: PLC0415
    from djafs.tools.convert.run import convert  # noqa: PLC0415

    with progress(verbose) as display, stopping() as stop:
        total = Total(options.source) if display.visible else None

        def tick(summary: Summary) -> bool:
            if total:
                state = State(
                    summary.files,
                    total.files,
                    bytes=summary.bytes_read,
                    ratio=summary.ratio,
                )
                display.show(state)
            return bool(stop)

        if legacy:
            from djafs.tools.legacy.writer import write_legacy  # noqa: PLC0415 (seldom used)

            return write_legacy(options, tick)
        if options.dry_run:
            return estimate(options, tick)
        return convert(options, tick)


def lines(summary: Summary, *, dry_run: bool = False) -> list[str]:
    """Say what was done, or would be."""
    found = [_files(summary, dry_run), _others(summary)]
    changes = [f"{_count(summary.gone, 'name')} removed"] if summary.gone else []
    if summary.attributes:
        changes.append(f"attributes of {_count(summary.attributes, 'name')} set")
    if changes:
        found.append(", ".join(changes))
    if dry_run:
        size = human_size(summary.bytes_read)
        found.append(f"{size} of content, about {human_size(summary.estimate or 0)} on disk")
    else:
        found.append(_contents(summary))
        if summary.protected:
            size = human_size(summary.parity_bytes)
            found.append(f"recovery data for {_count(summary.protected, 'archive')}: {size}")
        found.append(_rate(summary))
    if summary.interrupted:
        found.append("interrupted: run it again to go on")
    if summary.problem_count:
        found.append(f"{_count(summary.problem_count, 'problem')}: see above")
    return found


def _files(summary: Summary, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    return (
        f"{_count(summary.files, 'file')}: {summary.new:,} {would}new, "
        f"{summary.changed:,} {would}changed, {summary.unchanged:,} unchanged"
    )


def _others(summary: Summary) -> str:
    parts = [
        f"{summary.directories:,} {'directory' if summary.directories == 1 else 'directories'}",
        _count(summary.symlinks, "symbolic link"),
        _count(summary.links, "hard link"),
        _count(summary.special, "special file"),
    ]
    if summary.excluded:
        parts.append(f"{summary.excluded:,} excluded")
    return ", ".join(parts)


def _contents(summary: Summary) -> str:
    return (
        f"{_count(summary.contents, 'new content')} and {_count(summary.duplicates, 'duplicate')}:"
        f" {human_size(summary.bytes_in)} became {human_size(summary.bytes_out)}"
        f" in {_count(summary.archives, 'archive')}, {summary.ratio:.1f} to 1;"
        f" the lookup log grew by {human_size(summary.log_bytes)}"
    )


def _rate(summary: Summary) -> str:
    rate = summary.files / summary.seconds if summary.seconds else 0.0
    return f"{summary.seconds:.1f} s, {rate:,.0f} files/s"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
