"""How far a long command is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import click

from djafs.cli.parameters import human_size

LINE_SECONDS = 2.0
"""Time between two lines of progress where there is no terminal to draw on."""

BAR_SECONDS = 0.1


class State(NamedTuple):
    """How far it is. ``total`` is 0 as long as it is not known."""

    files: int
    total: int
    bytes: int
    ratio: float = 0.0


Show = Callable[[State], None]


class Total:
    """Counts the files of a tree beside the command that works on it."""

    def __init__(self, path: str) -> None:
        self.files = 0
        self._path = path
        threading.Thread(target=self._count, name="djafs-count", daemon=True).start()

    def _count(self) -> None:
        from djafs.tools.count import count_files  # noqa: PLC0415 (only where it is shown)

        self.files = count_files(self._path, lambda path, error: None)


@contextmanager
def progress(wanted: bool) -> Iterator[Show | None]:
    """Give a function that shows how far it is, None where nobody looks.

    A terminal always sees a bar, anything else lines if they are ``wanted``.
    """
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    elif wanted:
        yield _Lines().show
    else:
        yield None


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console  # noqa: PLC0415 (only where a bar is drawn)
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files  {task.description}"),
        TimeRemainingColumn(),
    )
    began = last = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(state: State) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= BAR_SECONDS:
                last = now
                text = describe(state, now - began)
                total = state.total or None
                bar.update(task, completed=state.files, total=total, description=text)

        yield show


class _Lines:
    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def show(self, state: State) -> None:
        """Write a line if the last one is old enough."""
        now = time.monotonic()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        elapsed = now - self._began
        of = f" of {state.total:,}" if state.total else ""
        line = f"{state.files:,}{of} files, {describe(state, elapsed)}"
        if state.total > state.files > 0:
            line += f", {elapsed * (state.total / state.files - 1):.0f} s left"
        click.echo(line, err=True)


def describe(state: State, elapsed: float) -> str:
    """Say how much, how fast and how well compressed."""
    rate = state.files / elapsed if elapsed else 0.0
    text = f"{human_size(state.bytes)}, {rate:,.0f} files/s"
    return f"{text}, ratio {state.ratio:.1f}" if state.ratio else text
