"""``djafs umount``: end a mount, and wait until its store is clean."""

from __future__ import annotations

import click

from djafs.cli.command import Command
from djafs.cli.statuses import OK


@click.command(
    "umount",
    cls=Command,
    short_help="End a mount; the store is clean then.",
    example="djafs umount /mnt/archive",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=300.0,
    show_default=True,
    help="How long the daemon may take to close the store.",
)
# Not click.Path, which looks at what is there: a mount whose daemon hangs would hang this too.
@click.argument("mountpoint", metavar="MOUNTPOINT", type=click.UNPROCESSED)
def command(timeout: float, mountpoint: str) -> int:
    """Unmount the store that is mounted on MOUNTPOINT.

    Returns when the daemon has closed the store, which then may be copied, moved or mounted
    elsewhere. Also clears the mount that a killed daemon left behind ("Transport endpoint is
    not connected").
    """
    from djafs.mounting.unmounting import unmount  # noqa: PLC0415 (help is shown without)

    mount, ending = unmount(mountpoint, timeout)
    if ending == "cleared":
        click.echo(
            f"djafs: the daemon had died; the next mount of {mount.source} recovers it", err=True
        )
    return OK
