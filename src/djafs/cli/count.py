"""``djafs count``: count regular files."""

from __future__ import annotations

import json
import os
import stat
import time

import click

from djafs.cli.command import Command
from djafs.cli.statuses import INCOMPLETE, OK
from djafs.printable import printable


@click.command(
    "count",
    cls=Command,
    short_help="Count regular files, like find but faster.",
    example='djafs count /mnt/archive/live\necho "$(djafs count /srv/documents)"',
)
@click.option(
    "--progress",
    is_flag=True,
    help="Say on stderr how far the count is; a terminal shows that anyway.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("path", metavar="[PATH]", default=".", type=click.UNPROCESSED)
def command(progress: bool, as_json: bool, path: str) -> int:
    """Count the regular files at and below PATH (the current directory unless given).

    Prints the number and nothing else, the same as find PATH -type f | wc -l, but faster. In a
    djafs mount the daemon knows it without a walk. What cannot be read is named on stderr.
    """
    from djafs.cli.progress import State  # noqa: PLC0415 (help is shown without)
    from djafs.cli.progress import progress as showing  # noqa: PLC0415
    from djafs.tools.count import count_files  # noqa: PLC0415

    began = time.monotonic()
    problems: list[dict[str, str | None]] = []

    with showing(progress) as display:

        def complain(place: str, error: OSError) -> None:
            problems.append({"path": place, "what": error.strerror})
            display.hide()
            click.echo(f"djafs: {printable(place)}: {error.strerror}", err=True)

        files = _ask_daemon(path)
        if files is None:
            files = count_files(path, complain, lambda files: display.show(State(files)))
    seconds = time.monotonic() - began
    if progress:
        click.echo(f"{files} files in {seconds:.1f} s", err=True)
    if as_json:
        found = {"path": path, "files": files, "problems": problems, "seconds": round(seconds, 3)}
        click.echo(json.dumps(found))
    else:
        click.echo(files)
    return INCOMPLETE if problems else OK


def _ask_daemon(path: str) -> int | None:
    """Return the count that a djafs daemon gives, None where a walk has to find it.

    A daemon sees all of its tree, and nothing but it: what only a walk can tell is a user who
    may not read everything, and another filesystem that is mounted somewhere below.
    """
    from djafs.mounting.mountpoints import mounts, resolve  # noqa: PLC0415 (as above)

    listed = mounts()
    if os.geteuid() != 0 or not any(mount.is_djafs for mount in listed):
        return None
    below = os.path.join(resolve(path), "")
    if any(mount.mountpoint.startswith(below) for mount in listed):
        return None
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return None
    except OSError:
        return None
    from djafs.mounting.control import request_count  # noqa: PLC0415 (in a djafs mount only)

    return request_count(path)
