"""Every djafs command line that the documents show is one that djafs takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from djafs.cli.main import root

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def command_lines(text: str) -> list[str]:
    """The lines in fenced blocks that run djafs, without prompt, comment and what follows."""
    blocks = re.findall(
        r"^```(?:console|sh|shell|bash)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    matches = [re.match(r"(?:[$#] )?(?:sudo )?djafs( .+)$", line) for line in lines]
    return [re.split(r" [|>;&#]|\s{2,}#", match[1])[0].strip() for match in matches if match]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_command_lines(document: Path):
    for line in command_lines(document.read_text()):
        # A synopsis puts in brackets what may be left away; it has to exist all the same.
        name, *arguments = shlex.split(line.replace("[", "").replace("]", ""))
        if name in {"--version", "--help"}:
            continue
        command = root.get_command(click.Context(root), name)
        assert command is not None, f"there is no djafs {name}"
        try:
            command.make_context(name, arguments)
        except click.exceptions.Exit:
            pass  # --help
        except click.UsageError as error:
            pytest.fail(f"djafs {line}: {error.format_message()}")
