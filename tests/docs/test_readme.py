"""README.md has the commands and options that djafs has; links in documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from djafs.cli import statuses
from djafs.cli.main import root

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
DOCUMENTS = sorted(
    [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("examples/*.md")]
)


def section(heading: str) -> str:
    """What stands under the heading that begins like this."""
    found = re.search(rf"^(#+) {re.escape(heading)}.*?\n(.*?)(?=^#)", README, re.M | re.S)
    assert found is not None, f"README.md has no heading {heading!r}"
    return found[2]


def command(name: str) -> click.Command:
    found = root.get_command(click.Context(root), name)
    assert found is not None
    return found


def test_the_readme_has_every_command():
    documented = re.findall(r"^### djafs (\w+)", README, re.M)
    assert sorted(documented) == sorted(statuses.BY_COMMAND)


@pytest.mark.parametrize("name", statuses.BY_COMMAND)
def test_the_readme_has_every_option(name: str):
    options = {
        spelling
        for parameter in command(name).params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for spelling in [*parameter.opts, *parameter.secondary_opts]
    }
    cells = re.findall(r"^\| (`.*?) \|", section(f"djafs {name}"), re.M)
    documented = {spelling for cell in cells for spelling in re.findall(r"`(-[-\w]+)", cell)}
    assert documented == options


@pytest.mark.parametrize("name", statuses.BY_COMMAND)
def test_the_readme_has_the_arguments(name: str):
    heading = re.search(rf"^### djafs {name}(.*)$", README, re.M)
    assert heading is not None
    arguments = [p.metavar for p in command(name).params if isinstance(p, click.Argument)]
    if arguments:
        assert heading[1].split() == arguments


def test_the_readme_has_the_defaults_of_mount():
    rows = re.findall(
        r"^\| (?:`-\w`, )?`(--[-\w]+)[^|]*\| ([\w.]+) \|", section("djafs mount"), re.M
    )
    documented = {name: value for name, value in rows if re.match(r"\d", value)}
    options = [p for p in command("mount").params if isinstance(p, click.Option)]
    defaults = {p.opts[-1]: str(p.default).removesuffix(".0") for p in options if p.show_default}
    assert {name: documented.get(name) for name in defaults} == defaults


def test_the_readme_tells_the_python_that_the_package_asks_for():
    project = (PROJECT / "pyproject.toml").read_text()
    oldest = re.search(r'^requires-python = ">=(3\.\d+)"', project, re.M)
    assert oldest is not None
    newest = max(int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", project))
    assert f"| Python | {oldest[1]} | any up to 3.{newest} |" in README


@pytest.mark.parametrize("target", ["demo", "test", "bench"])
def test_make_targets_exist(target: str):
    assert f"make {target}" in README
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text(), re.M)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path):
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {link}"


def test_the_readme_tells_every_status_that_is_not_everywhere():
    told = set(re.findall(r"\b\d+\b", section("Commands")))
    used = {str(status) for table in statuses.BY_COMMAND.values() for status in table}
    assert used <= told
