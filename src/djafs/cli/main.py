"""The command ``djafs``: finds the command's module, and turns every outcome into a status.

Errors are one line on stderr, ``djafs: MESSAGE``. The statuses are those of
:mod:`djafs.cli.statuses`; click's own (2 for usage, 1 for a closed pipe) would collide with them,
so click's ``main`` is not used but for shell completion.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

import djafs
from djafs.cli import statuses
from djafs.cli.command import write_lines
from djafs.errors import DjafsError
from djafs.printable import printable


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which the help lists them."""
        return list(statuses.BY_COMMAND)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, None when there is none."""
        if cmd_name not in statuses.BY_COMMAND:
            return None
        module = importlib.import_module(f"djafs.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a first session below the list of commands."""
        session = ["djafs mount /srv/store /mnt/archive", "rsync -a documents/ /mnt/archive/live/"]
        session += ["ls /mnt/archive/snapshots/latest", "djafs umount /mnt/archive"]
        write_lines(formatter, "Example", session)
        with formatter.section("Exit status"):
            formatter.write_text("As fsck(8); djafs COMMAND --help has those of each command.")


@click.command(
    cls=Commands,
    no_args_is_help=False,  # a missing command is an error, and said as one
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(djafs.__version__, prog_name="djafs", message="%(prog)s %(version)s")
def root() -> None:
    """Archive JSON documents: compressed, deduplicated, readable as they were on any day."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` unless given) and return its exit status."""
    if "_DJAFS_COMPLETE" in os.environ:
        root.main(prog_name="djafs")
    # A name that is not UTF-8 leaves as the bytes that it came in as.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        status = stop.exit_code
    except click.UsageError as error:
        place = error.ctx.command_path if error.ctx else "djafs"
        said = error.format_message().removesuffix(".")
        status = _fail(f"{said} (see: {place} --help)", statuses.USAGE)
    except DjafsError as error:
        status = _fail(str(error), error.exit_status)
    except (KeyboardInterrupt, click.Abort):
        status = statuses.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        status = statuses.OUTPUT_CLOSED
    except OSError as error:
        _discard_output()
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        status = _fail(f"{place}{error.strerror or error}", statuses.FAILED)
    except Exception as error:
        # A defect of djafs. Python's own status for it, 1, would say "repaired" in fsck's terms.
        sys.excepthook(type(error), error, error.__traceback__)
        status = _fail(f"internal error: {type(error).__name__}: {error}", statuses.FAILED)
    return status


def _run(arguments: list[str]) -> int:
    with root.make_context("djafs", arguments) as context:
        return int(root.invoke(context) or statuses.OK)


def _fail(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"djafs: {printable(message)}", file=sys.stderr, flush=True)
    return status


def _discard_output() -> None:
    """Point stdout nowhere, so that the interpreter does not fail again when it flushes it."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
