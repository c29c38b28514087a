"""Patterns of names that are left out, as rsync(1) reads them, as far as they are given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate


class Excludes:
    """``*`` and ``?`` match slashes too; a leading slash anchors at the top of the tree.

    A pattern without a slash is matched against the name, one with a slash inside against the
    end of the path. A slash at the end restricts it to directories.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._any = [self._compile(p) for p in patterns if not p.endswith("/")]
        self._directories = [self._compile(p.rstrip("/")) for p in patterns if p.endswith("/")]

    @staticmethod
    def _compile(pattern: str) -> tuple[bool, re.Pattern[str]]:
        if pattern.startswith("/"):
            return True, re.compile(translate(pattern[1:]))
        if "/" in pattern:
            return True, re.compile(rf"(?s:(?:.*/)?){translate(pattern)}")
        return False, re.compile(translate(pattern))

    def __bool__(self) -> bool:
        """Return whether anything may be left out."""
        return bool(self._any or self._directories)

    def match(self, directory: bytes, name: bytes, *, is_directory: bool) -> bool:
        """Return whether ``name`` in ``directory`` (with a slash at its end) is left out."""
        last = name.decode("utf-8", "surrogateescape")
        path = directory.decode("utf-8", "surrogateescape") + last
        patterns = self._any + self._directories if is_directory else self._any
        return any(regex.match(path if whole else last) for whole, regex in patterns)
