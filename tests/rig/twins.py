"""The mount beside a plain directory: what is done in both must have the same outcome in both.

A *scenario* is a function that is given a :class:`Site` and calls its methods. It runs in a child
process, once in each directory; each call's outcome is noted. Then the two lists of outcomes and
the two trees are compared.
"""

from __future__ import annotations

import errno
import os
import pickle
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rig import syscalls

Outcome = Any
"""What a call returned, or the name of its errno."""

Scenario = Callable[["Site"], None]

_COARSE = 5  # CLOCK_REALTIME_COARSE, from which many filesystems take their times

_FROM_SYSCALLS = ("renameat2", "fallocate", "utimensat", "linkat")


class Handle(int):
    """A file descriptor: any two look the same."""

    def __repr__(self) -> str:
        return "fd"


def described(status: os.stat_result) -> dict[str, Any]:
    """Return what must be the same of two files in different filesystems."""
    kind = stat.S_IFMT(status.st_mode)
    shown = {
        "type": oct(kind),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "nlink": status.st_nlink,
    }
    if kind != stat.S_IFDIR:
        shown["size"] = status.st_size
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        shown["rdev"] = status.st_rdev
    return shown


def tick() -> None:
    """Return when a filesystem would give a change a later time than any before."""
    before = time.clock_gettime_ns(_COARSE)
    while time.clock_gettime_ns(_COARSE) == before:
        pass


class Site:
    """A directory (the current one), and calls in it whose outcomes are noted.

    Methods have the names of functions of :mod:`os` and of :mod:`rig.syscalls`. They return what
    those do, or, where those raise OSError, the name of the errno. ``site.user(uid)`` gives the
    same site to another user.
    """

    def __init__(self, notes: list[str], who: tuple[int, int, tuple[int, ...]] | None = None):
        self._notes = notes
        self._who = who

    def user(self, uid: int, gid: int | None = None, *groups: int) -> Site:
        """Return the site as another user has it."""
        return Site(self._notes, (uid, uid if gid is None else gid, groups))

    def __getattr__(self, name: str) -> Callable[..., Outcome]:
        function = getattr(syscalls if name in _FROM_SYSCALLS else os, name)
        return lambda *arguments, **named: self.call(name, function, *arguments, **named)

    def call(
        self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any
    ) -> Outcome:
        """Call anything, and note and return its outcome."""
        try:
            with self._identity():
                outcome: Any = function(*arguments, **named)
        except OSError as error:
            outcome = errno.errorcode.get(error.errno or 0, str(error))
        if name == "open" and isinstance(outcome, int):
            outcome = Handle(outcome)
        if isinstance(outcome, os.stat_result):
            outcome = described(outcome)
        who = f"{self._who[0]}:{self._who[1]} " if self._who else ""
        listed = ", ".join(repr(each)[:80] for each in (*arguments, *named.values()))
        self.note(f"{who}{name}({listed}) = {outcome!r:.400}")
        return outcome

    @contextmanager
    def _identity(self) -> Iterator[None]:
        if self._who is None:
            yield
            return
        uid, gid, groups = self._who
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups([])

    def note(self, text: str) -> None:
        """Add to what must be the same in both directories."""
        self._notes.append(text)

    def make(self, path: str, content: bytes = b"", mode: int = 0o644) -> Outcome:
        """Make a file with content."""

        def write(path: str) -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            try:
                os.write(descriptor, content)
            finally:
                os.close(descriptor)

        return self.call("make", write, path)

    def try_open(self, path: str, flags: int, mode: int = 0o644) -> Outcome:
        """Open and close; None if that succeeded."""

        def try_(path: str, flags: int, mode: int) -> None:
            os.close(os.open(path, flags, mode))

        return self.call("open-close", try_, path, flags, mode)

    def content(self, path: str) -> Outcome:
        """Return the content of a file."""
        return self.call("content", lambda path: Path(path).read_bytes(), path)

    def mode(self, path: str) -> Outcome:
        """Return the permission bits of a file, not following links."""
        return self.call("mode", lambda path: oct(stat.S_IMODE(os.lstat(path).st_mode)), path)

    def marks(self, action: Callable[[], Outcome], *paths: str | int) -> tuple[Outcome, list[str]]:
        """Return the outcome of ``action``, and for each path which of mtime and ctime it moved.

        "mc", "c", "m" or "" for each.
        """
        tick()
        before = [_times(path) for path in paths]
        outcome = action()
        moved = []
        for path, old in zip(paths, before, strict=True):
            new = _times(path)
            moved.append("".join(c for c, a, b in zip("mc", old, new, strict=True) if a != b))
        self.note(f"  moved {moved} of {paths}")
        return outcome, moved


def _times(path: str | int) -> tuple[int, int]:
    status = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return status.st_mtime_ns, status.st_ctime_ns


class Twins:
    """A directory of the mount, and one of the filesystem that is the model."""

    def __init__(self, live: Path, plain: Path) -> None:
        self.live = live
        self.plain = plain

    def both(self, scenario: Scenario) -> list[str]:
        """Run ``scenario`` in both directories; return the outcomes, which are the same.

        An exception or failed assertion in it is raised here.
        """
        notes = self.both_without_comparing(scenario)
        self.compare()
        return notes

    def both_without_comparing(self, scenario: Scenario) -> list[str]:
        """Do the same, for trees that are too deep to be compared by their paths."""
        notes = {path: run_in(scenario, path) for path in (self.plain, self.live)}
        if notes[self.live] != notes[self.plain]:
            raise AssertionError(_difference(notes[self.plain], notes[self.live]))
        return notes[self.live]

    def compare(self) -> None:
        """Assert that the trees are the same."""
        plain, live = tree(self.plain), tree(self.live)
        if plain != live:
            lines = [[f"{name}: {shown}" for name, shown in t.items()] for t in (plain, live)]
            raise AssertionError(_difference(*lines))


def tree(root: Path) -> dict[str, dict[str, Any]]:
    """Return what is below ``root``: names, attributes, targets, extended attributes, content."""
    found: dict[str, dict[str, Any]] = {}
    first: dict[int, str] = {}

    def visit(directory: str, prefix: str) -> None:
        with os.scandir(directory) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = prefix + entry.name
            status = entry.stat(follow_symlinks=False)
            shown = found[name] = described(status)
            assert entry.inode() == status.st_ino, f"{name}: d_ino is not st_ino"
            if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                shown["same as"] = first.setdefault(status.st_ino, name)
            shown.update(_inside(entry))
            if entry.is_dir(follow_symlinks=False):
                visit(entry.path, name + "/")

    visit(os.fspath(root), "")
    return found


def _inside(entry: os.DirEntry[str]) -> dict[str, Any]:
    inside: dict[str, Any] = {}
    if entry.is_symlink():
        inside["target"] = os.readlink(entry.path)
    elif entry.is_file():
        inside["content"] = Path(entry.path).read_bytes()
    names = sorted(os.listxattr(entry.path, follow_symlinks=False))
    if names:
        inside["xattrs"] = {
            name: os.getxattr(entry.path, name, follow_symlinks=False) for name in names
        }
    return inside


def _difference(plain: Sequence[str], live: Sequence[str]) -> str:
    lines = ["the mount (+) differs from a plain directory (-):"]
    for number in range(max(len(plain), len(live))):
        pair = [side[number] if number < len(side) else "(nothing)" for side in (plain, live)]
        if pair[0] == pair[1]:
            lines.append("  " + pair[0][:300])
        else:
            lines += ["- " + pair[0][:2000], "+ " + pair[1][:2000]]
    if len(lines) > 120:
        changed = [n for n, line in enumerate(lines) if line[0] in "+-"]
        lines = lines[:1] + lines[max(1, changed[0] - 20) : changed[0] + 60]
    return "\n".join(lines)


def run_in(scenario: Scenario, directory: Path) -> list[str]:
    """Run a scenario in ``directory`` in a child process, with umask 0; return its notes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open(writing, "wb") as pipe:
            notes: list[str] = []
            error: str | None = None
            try:
                os.chdir(directory)
                os.umask(0)
                scenario(Site(notes))
            except BaseException as failure:
                error = _told(failure, notes)
            pickle.dump((notes, error), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        notes, error = pickle.load(pipe)
    os.waitpid(child, 0)
    assert error is None, f"in {directory}:\n{error}"
    return list(notes)


def _told(failure: BaseException, notes: Sequence[str]) -> str:
    import traceback

    said = "".join(traceback.format_exception(failure))
    return "\n".join(["after", *notes[-20:], said])
