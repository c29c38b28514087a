"""Text for people that quotes names of any bytes: one line, and harmless to a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    r"""Return ``text`` as one line: control characters as ``\n``, ``\x1b`` and so on.

    File names may hold any byte; none of them may forge a line of a log or steer a terminal.
    """
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
