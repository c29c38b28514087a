"""Code run as a user without privileges, even when the tests run as root."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

NOBODY = 65534

Result = TypeVar("Result")


def let_others_reach(directory: Path) -> None:
    """Give every user the way to a temporary directory of ours."""
    for each in (directory, *directory.parents):
        if each.stat().st_uid == os.geteuid() and str(each).startswith("/tmp/"):
            each.chmod(each.stat().st_mode | 0o011)


def as_nobody(function: Callable[[], Result]) -> Result:
    """Return what ``function()`` returns in a child that runs as nobody (or as we, if not root).

    A fork, not a new program: nobody may not be able to read the interpreter's files. What the
    function needs must be imported before. An exception in it is raised here.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with open(writing, "wb") as pipe:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setresgid(NOBODY, NOBODY, NOBODY)
                    os.setresuid(NOBODY, NOBODY, NOBODY)
                pickle.dump((True, function()), pipe)
            except BaseException as error:
                pickle.dump((False, error), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        succeeded, outcome = pickle.load(pipe)
    os.waitpid(child, 0)
    if not succeeded:
        raise outcome
    return outcome
