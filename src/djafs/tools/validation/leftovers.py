"""Files in the store that belong to nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from djafs.disk.layout import Layout, is_parity_workspace
from djafs.tools.validation.findings import Finding, Kind

_ROOT = re.compile(
    r"djafs\.json(\.tmp)?|hot|lookups|archives|damaged|lock|reserve(\.tmp)?|lost\+found|(index(\.old|\.new)?|checkpoint)\.sqlite(-wal|-shm|-journal)?"
)
_INSIDE = {
    "hot": re.compile(r"\d{8,}\.log"),
    "lookups": re.compile(r"\d{8,}\.(djfl(\.zst)?|djfc\.zst)(\.tmp)?"),
    "archives": re.compile(r"(\d{8,})\.(tar\.zst(?:\.par2)?|djfm)(\.tmp)?"),
}


def leftovers(layout: Layout, is_known: Callable[[int], bool]) -> Iterator[Finding]:
    """Yield a warning for each file that nothing refers to.

    ``is_known`` says whether the log has, or may yet get, an archive of that number. Drafts
    (``.tmp``) are not reported: the next mount removes or replaces them.
    """
    for name in sorted(_names(layout.root)):
        if not _ROOT.fullmatch(name) and not is_parity_workspace(os.path.join(layout.root, name)):
            yield _leftover(name, "it is no part of a store")
    for directory, pattern in _INSIDE.items():
        for name in sorted(_names(os.path.join(layout.root, directory))):
            where = os.path.join(directory, name)
            match = pattern.fullmatch(name)
            if not match:
                yield _leftover(where, "it is no part of a store")
            elif directory == "archives" and not match[3] and not is_known(int(match[1])):
                yield _leftover(where, "the log does not know this archive")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _leftover(where: str, what: str) -> Finding:
    return Finding(Kind.LEFTOVER, os.fsencode(where).decode("utf-8", "backslashreplace"), what)
