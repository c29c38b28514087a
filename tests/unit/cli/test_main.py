"""Every outcome of a command is one line on stderr, at most, and one exit status."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest

import djafs
from djafs.cli.main import main
from djafs.cli.statuses import BY_COMMAND
from djafs.errors import DamageError, LockedError, MountError
from rig.command import DJAFS


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch):
    """A function that makes the command ``count`` end with an exception or a value."""

    def set_ending(outcome):
        @click.command("count")
        def command():
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr("djafs.cli.count.command", command)

    return set_ending


@pytest.mark.parametrize(
    ("outcome", "status", "line"),
    [
        (None, 0, ""),
        (0, 0, ""),
        (4, 4, ""),
        (MountError("no /dev/fuse"), 8, "djafs: no /dev/fuse\n"),
        (LockedError("busy"), 8, "djafs: busy\n"),
        (DamageError("torn"), 4, "djafs: torn\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.UsageError("What?"), 16, "djafs: What? (see: djafs count --help)\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/srv/a\nb"),
            8,
            "djafs: /srv/a\\nb: No space left on device\n",
        ),
        (MountError("two\nlines \x1b[31m"), 8, "djafs: two\\nlines \\x1b[31m\n"),
    ],
)
def test_outcomes(ending, capsys, outcome, status, line):
    ending(outcome)
    assert main(["count"]) == status
    assert capsys.readouterr().err == line


def test_a_defect_shows_its_traceback_and_never_the_status_of_a_repair(ending, capsys):
    ending(RuntimeError("defect"))
    assert main(["count"]) == 8
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "djafs: internal error: RuntimeError: defect"


@pytest.mark.parametrize("command", BY_COMMAND)
def test_usage_errors_are_16_in_every_command(command, capsys):
    assert main([command, "--no-such-option"]) == 16
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("djafs: No such option")
    assert said.err.endswith(f"(see: djafs {command} --help)\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["--no-such-option"],
        ["mount"],
        ["mount", "one"],
        ["umount"],
        ["gc"],
        ["validate"],
        ["count", "a", "b"],
        ["mount", "--gc-interval", "0", "a", "b"],
        ["mount", "--settle", "-1", "a", "b"],
        ["mount", "--compression-level", "20", "a", "b"],
        ["mount", "--hot-cache-size", "many", "a", "b"],
        ["mount", "--time-zone", "Nowhere/Atlantis", "a", "b"],
        ["mount", "--time-zone", "../../etc/passwd", "a", "b"],
    ],
)
def test_wrong_usage_is_one_line_and_16(arguments, capsys):
    assert main(arguments) == 16
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"djafs {djafs.__version__}\n"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for command in BY_COMMAND:
        assert f"\n  {command} " in told


def test_a_closed_pipe_is_quiet(tmp_path):
    """As in ``djafs count | true``: neither a message nor a traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*DJAFS, "count", tmp_path], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_device_is_said():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*DJAFS, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (8, "djafs: No space left on device\n")


def test_names_leave_as_the_bytes_they_came_in_as(ending, tmp_path):
    script = (
        "import click, sys, djafs.cli.count, djafs.cli.main as m\n"
        "djafs.cli.count.command = click.command('count')(lambda: click.echo('\\udcff'))\n"
        "sys.exit(m.main(['count']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"\xff\n"


@pytest.mark.parametrize(
    "arguments", [["--version"], ["count", "/nonexistent"], ["mount", "--help"]]
)
def test_starting_is_light(arguments):
    """What only some commands need is not imported by the others."""
    heavy = [
        "rich",
        "msgspec",
        "zstandard",
        "sqlite3",
        "apsw",
        "setproctitle",
        "djafs.fuse",
        "djafs.store",
    ]
    script = (
        "import sys\n"
        "from djafs.cli.main import main\n"
        f"main({arguments!r})\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_shell_completion_offers_the_commands():
    done = subprocess.run(
        [*DJAFS],
        env={
            **os.environ,
            "_DJAFS_COMPLETE": "bash_complete",
            "COMP_WORDS": "djafs u",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "umount" in done.stdout
