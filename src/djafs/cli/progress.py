"""How far a long command is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import click

from djafs.cli.parameters import human_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_SECONDS = 2.0
"""Time between two lines of progress where there is no terminal to draw on."""

BAR_SECONDS = 0.1
"""Time between two drawings of a bar."""

QUICK_SECONDS = 0.3
"""A command that is done by then draws none."""


class State(NamedTuple):
    """How far it is: so many of ``total`` (0 as long as that is not known)."""

    done: int
    total: int = 0
    what: str = "files"
    bytes: int = 0  # that were read for it
    ratio: float = 0.0  # of their compression
    sized: bool = False  # ``done`` is a number of bytes itself


class Display:
    """Shows nothing: nobody looks."""

    visible = False

    def show(self, state: State) -> None:
        """Show how far it is, if the last time is long enough ago."""

    def hide(self) -> None:
        """Make room for other output; the next :meth:`show` draws again."""


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
def progress(wanted: bool) -> Iterator[Display]:
    """Give what shows how far it is.

    A terminal always sees a bar, anything else lines if they are ``wanted``.
    """
    if not sys.stderr.isatty():
        yield _Lines() if wanted else Display()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.hide()


class _Timed(Display, ABC):
    """Knows how long each part of the command has taken so far."""

    visible = True

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._began = self._last = time.monotonic()
        self._what = ""

    def show(self, state: State) -> None:
        now = time.monotonic()
        if state.what != self._what:
            self._what, self._began = state.what, now
        if now - self._last >= self._pause:
            self._last = now
            self._draw(state, now - self._began)

    @abstractmethod
    def _draw(self, state: State, elapsed: float) -> None:
        """Show how far it is, ``elapsed`` seconds after this part began."""


class _Bar(_Timed):
    def __init__(self) -> None:
        super().__init__(BAR_SECONDS)
        self._last += QUICK_SECONDS - BAR_SECONDS
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def _draw(self, state: State, elapsed: float) -> None:
        if self._bar is None:
            self._bar, self._task = self._begin()
        assert self._task is not None
        text = describe(state, elapsed)
        total = state.total or None
        self._bar.update(self._task, completed=state.done, total=total, description=text)

    def _begin(self) -> tuple[Progress, TaskID]:
        from rich.console import Console  # noqa: PLC0415 (only where a bar is drawn)
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        # What the command prints is for stdout, wherever that leads; hide() makes room for it.
        bar = Progress(
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.start()
        return bar, bar.add_task("", total=None)

    def hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Lines(_Timed):
    def __init__(self) -> None:
        super().__init__(LINE_SECONDS)

    def _draw(self, state: State, elapsed: float) -> None:
        click.echo(describe(state, elapsed), err=True)


def describe(state: State, elapsed: float) -> str:
    """Say how much is done, how fast, how well compressed, and how long it will take."""
    number: Callable[[int], str] = human_size if state.sized else "{:,}".format
    of = f" of {number(state.total)}" if state.total else ""
    parts = [f"{number(state.done)}{of} {state.what}"]
    if state.bytes:
        parts.append(human_size(state.bytes))
    if elapsed:
        parts.append(f"{number(int(state.done / elapsed))}/s")
    if state.ratio:
        parts.append(f"ratio {state.ratio:.1f}")
    if state.total > state.done > 0:
        parts.append(f"{elapsed * (state.total / state.done - 1):.0f} s left")
    return ", ".join(parts)
