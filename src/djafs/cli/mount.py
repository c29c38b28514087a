"""``djafs mount``: show a store as a filesystem."""

from __future__ import annotations

import os

import click

from djafs.cli.command import Command
from djafs.cli.parameters import (
    checked_kernel_flags,
    checked_parity,
    checked_size,
    checked_time_zone,
)
from djafs.cli.statuses import OK
from djafs.mounting.options import (
    DEFAULT_GC_INTERVAL,
    DEFAULT_HOT_CACHE_SIZE,
    DEFAULT_LEVEL,
    DEFAULT_SETTLE,
    MountOptions,
)


@click.command(
    "mount",
    cls=Command,
    short_help="Show a store as a filesystem.",
    example="djafs mount /srv/store /mnt/archive\n"
    "djafs mount --hot-cache-size 1G --time-zone Europe/Berlin /srv/store /mnt/archive",
)
@click.option("-f", "--foreground", is_flag=True, help="Serve in this process; log to stderr too.")
@click.option(
    "--gc-interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_GC_INTERVAL,
    show_default=True,
    help="Time between two packings.",
)
@click.option(
    "--hot-cache-size",
    metavar="SIZE",
    default=f"{DEFAULT_HOT_CACHE_SIZE >> 20}M",
    show_default=True,
    callback=checked_size,
    help="Content not yet archived that makes packing start early; twice as much slows writers.",
)
@click.option(
    "--settle",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=DEFAULT_SETTLE,
    show_default=True,
    help="Pack a file only when it has not changed for so long.",
)
@click.option(
    "--log-file",
    metavar="PATH",
    type=click.Path(dir_okay=False),
    help="Write the daemon's messages there instead of to syslog.",
)
@click.option(
    "--compression-level",
    "level",
    metavar="1..19",
    type=click.IntRange(1, 19),
    default=DEFAULT_LEVEL,
    show_default=True,
    help="zstd level of new archives.",
)
@click.option(
    "--allow-other/--no-allow-other",
    default=None,
    help="Let other users in, as far as modes allow.  [default: yes for root, else no]",
)
@click.option(
    "-o",
    "kernel_flags",
    metavar="FLAG[,FLAG]",
    multiple=True,
    callback=checked_kernel_flags,
    help="Mount with dev, suid or noexec, as mount(8) has them; root may.  [default: nodev,nosuid]",
)
@click.option(
    "--time-zone",
    metavar="NAME",
    callback=checked_time_zone,
    help="Zone whose midnights end a snapshot's day; only for a new store.  [default: UTC]",
)
@click.option(
    "--durable",
    type=click.Choice(["close"]),
    help="What is durable beside fsync: with close, what was written when close() has returned.",
)
@click.option(
    "--parity",
    metavar="PERCENT|off",
    callback=checked_parity,
    help="Keep recovery data for archives, so much of their size; the store remembers it."
    "  [default: as the store has it, off for a new one]",
)
@click.option("--status-fd", type=int, hidden=True)
@click.argument("storage", metavar="STORAGE_PATH", type=click.UNPROCESSED)
@click.argument("mountpoint", metavar="MOUNTPOINT", type=click.UNPROCESSED)
def command(
    foreground: bool,
    gc_interval: float,
    hot_cache_size: int,
    settle: float,
    log_file: str | None,
    level: int,
    allow_other: bool | None,
    kernel_flags: tuple[str, ...],
    time_zone: str | None,
    durable: str | None,
    parity: int | None,
    status_fd: int | None,
    storage: str,
    mountpoint: str,
) -> int:
    """Mount the store at STORAGE_PATH on the empty directory MOUNTPOINT.

    A store that does not exist yet is created. The current documents appear under
    MOUNTPOINT/live, read-write; the state at the end of a day under
    MOUNTPOINT/snapshots/YYYY/MM/DD, read-only. Returns when the mount answers; a daemon goes on
    serving it in the background until djafs umount (or umount, or SIGTERM) ends it.
    """
    from djafs.mounting import launch, mountpoints  # noqa: PLC0415 (help is shown without)

    options = MountOptions(
        storage=os.path.realpath(storage),
        mountpoint=mountpoints.resolve(mountpoint),
        gc_interval=gc_interval,
        hot_cache_size=hot_cache_size,
        settle=settle,
        level=level,
        allow_other=os.geteuid() == 0 if allow_other is None else allow_other,
        kernel_flags=kernel_flags,
        log_file=None if log_file is None else os.path.abspath(log_file),
        time_zone=time_zone,
        durable_close=durable == "close",
        parity=parity,
        foreground=foreground and status_fd is None,
    )
    if status_fd is not None:
        return launch.serve_in_background(options, status_fd)
    if foreground:
        launch.serve_in_foreground(options, lambda: None)
    else:
        launch.start(options)
    return OK
