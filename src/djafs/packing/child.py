"""What every process does that another one of djafs has started: the packer, and those like it.

They are told the process id of their parent last, end with it, and are no commands for people.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import setproctitle

NAME = "djafs-packer"
"""What ps(1) shows of the daemon's children."""

NICE = 10
"""How much lower their priority is than that of the daemon."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def begin(arguments: int, name: str = NAME, nice: int = NICE) -> list[str]:
    """Become a child of the process that is named last; return the arguments before that.

    Raises SystemExit (16) if there are not so many ``arguments``: somebody tries it by hand.
    """
    given = sys.argv[1:]
    if len(given) != arguments + 1:
        print(f"{name}: started by djafs itself, not by hand", file=sys.stderr)
        raise SystemExit(16)
    _end_with_parent(int(given.pop()))
    setproctitle.setproctitle(name)
    if nice:
        os.nice(nice)
    return given


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    Killed rather than asked: a packer that outlives its daemon must not remove or write a
    draft that the next daemon's packer has begun under the same name. Ends it at once if process
    ``parent`` is gone already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
