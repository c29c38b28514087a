"""docs/exit-status.md, the help texts and the code say the same."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from djafs import errors
from djafs.cli import statuses
from djafs.cli.main import main

DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-status.md"


def documented() -> dict[str, dict[int, str]]:
    """The tables of the document by the heading that they stand under."""
    tables: dict[str, dict[int, str]] = {}
    heading = ""
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").removeprefix("djafs ")
        elif match := re.fullmatch(r"\| (\d+) \| (.+) \|", line):
            tables.setdefault(heading, {})[int(match[1])] = match[2]
    return tables


def test_the_document_has_exactly_the_statuses_of_the_code():
    tables = documented()
    assert set(tables.pop("Any command")) == {statuses.INTERRUPTED, statuses.OUTPUT_CLOSED}
    assert tables == statuses.BY_COMMAND


@pytest.mark.parametrize("command", statuses.BY_COMMAND)
def test_the_help_of_a_command_has_its_statuses_and_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    told = capsys.readouterr().out
    example = told[told.index("Example:") : told.index("Exit status:")]
    assert f"  djafs {command}" in example
    listed = dict(re.findall(r"^  (\d+) +(.+)$", told[told.index("Exit status:") :], re.MULTILINE))
    assert {int(number): text for number, text in listed.items()} == statuses.BY_COMMAND[command]


@pytest.mark.parametrize(
    "error",
    [
        found
        for _, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.DjafsError)
    ],
)
def test_every_error_ends_in_a_documented_status(error):
    assert error.exit_status in {statuses.ERRORS_LEFT, statuses.FAILED, statuses.USAGE}
    assert error.__doc__


@pytest.mark.parametrize("command", statuses.BY_COMMAND)
def test_the_example_of_the_help_is_a_command_line_that_djafs_takes(command, capsys):
    """Its options exist and its arguments are as many as they should be."""
    import shlex

    from djafs.cli.main import root

    main([command, "--help"])
    told = capsys.readouterr().out
    example = told[told.index("Example:") : told.index("Exit status:")]
    lines = re.findall(rf"djafs {command}( [^)|\n]*)?", example)
    assert lines
    for line in lines:
        found = root.get_command(None, command)
        found.make_context(command, shlex.split(line.rstrip('"')))
