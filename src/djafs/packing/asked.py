"""A process that is asked one thing (:meth:`djafs.packing.packer.Packer.ask`), and answers it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from djafs.disk import sqlite
from djafs.errors import DjafsError
from djafs.packing import wire


def answer(kind: str, find: Callable[[], object]) -> int:
    """Write what ``find`` returns to stdout, or what it raises; return the exit status."""
    try:
        message = wire.encode(kind, find())
    except (DjafsError, sqlite.Error, OSError) as error:
        message = wire.encode("error", str(error), 0)
    # Or the daemon does not want the result any more.
    with contextlib.suppress(BrokenPipeError), os.fdopen(1, "wb") as target:
        target.write(message)
    return 0
