"""``djafs gc``: pack now."""

from __future__ import annotations

import json
from typing import Any

import click

from djafs.cli.command import Command
from djafs.cli.parameters import human_size
from djafs.cli.statuses import ERRORS_LEFT, OK


@click.command(
    "gc",
    cls=Command,
    short_help="Pack now, and say what was done.",
    example="djafs gc /mnt/archive\ndjafs gc --json /mnt/archive\ndjafs gc --compact /mnt/archive",
)
@click.option(
    "--compact",
    is_flag=True,
    help="Then make archives as few and as small as they can be.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")
@click.argument("mountpoint", metavar="MOUNTPOINT", type=click.UNPROCESSED)
def command(compact: bool, as_json: bool, mountpoint: str) -> int:
    """Pack everything that has settled in the store mounted on MOUNTPOINT.

    Waits until it is packed into archives, and says what was done. The daemon does the same by
    itself every --gc-interval seconds (see djafs mount --help), and compacts archives when enough
    of them are small or hold much that no snapshot shows. --compact does it at once: small archives
    are merged, and content that no snapshot shows is given up.
    """
    from djafs.mounting.control import request_gc  # noqa: PLC0415 (help is shown without)

    done = request_gc(mountpoint, compact=compact)
    click.echo(json.dumps(done) if as_json else sentence(done))
    return ERRORS_LEFT if done["failed"] else OK


def sentence(done: dict[str, Any]) -> str:
    """Say in one line what a packing did.

    The fields: ``files`` whose content was packed, of it ``duplicates`` that the store held
    already, into so many ``archives``; ``bytes_in`` of content, ``bytes_out`` of archives;
    ``compacted`` archives that others took the place of, so that ``reclaimed`` bytes came free;
    ``protected`` archives that got ``parity_bytes`` of recovery data, ``unprotected`` ones that
    did not; ``unsettled`` files left for later; ``failed`` ones that are damaged; ``seconds``
    taken.
    """
    if done["files"]:
        line = (
            f"packed {_count(done['files'], 'file')} into {_count(done['archives'], 'archive')}:"
            f" {human_size(done['bytes_in'])} to {human_size(done['bytes_out'])},"
            f" {_count(done['duplicates'], 'duplicate')}"
        )
    else:
        line = "nothing to pack"
    if done["compacted"]:
        line += f"; compacted {_count(done['compacted'], 'archive')}"
        if done["reclaimed"] > 0:
            line += f", {human_size(done['reclaimed'])} came free"
    if done["protected"]:
        line += (
            f"; recovery data for {_count(done['protected'], 'archive')}:"
            f" {human_size(done['parity_bytes'])}"
        )
    if done["unprotected"]:
        line += f"; none for {_count(done['unprotected'], 'archive')}: see the log"
    if done["unsettled"]:
        line += f"; {_count(done['unsettled'], 'file')} not yet settled"
    if done["failed"]:
        line += f"; {_count(done['failed'], 'file')} cannot be read: see djafs validate"
    return f"{line} ({done['seconds']:.1f} s)"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
