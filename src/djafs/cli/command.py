"""What every command of djafs has: an example, and its exit statuses, in its ``--help``."""

from __future__ import annotations

from typing import Any

import click

from djafs.cli.statuses import BY_COMMAND


class Command(click.Command):
    """A command whose help ends in an example and in its exit statuses."""

    def __init__(self, name: str, *, example: str, **attributes: Any) -> None:  # noqa: ANN401 (click's own)
        super().__init__(name, **attributes)
        self.example = example
        """Lines to type, without a prompt."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two sections below the options."""
        write_lines(formatter, "Example", self.example.splitlines())
        with formatter.section("Exit status"):
            statuses = BY_COMMAND[str(self.name)]
            formatter.write_dl([(str(number), text) for number, text in statuses.items()])


def write_lines(formatter: click.HelpFormatter, title: str, lines: list[str]) -> None:
    """Write a section of lines that must not be wrapped."""
    with formatter.section(title):
        for line in lines:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
