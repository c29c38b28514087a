"""What a check can find, as values."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


class Severity(enum.Enum):
    """How bad a finding is: only errors make the exit status 4."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(enum.Enum):
    """Every kind of finding; the value is its name for programs, and never changes."""

    IDENTITY = "identity"
    LOG_DAMAGED = "log-damaged"
    LOG_MISFIT = "log-misfit"
    LOG_SHORT = "log-short"
    LOG_TAIL = "log-tail"
    INDEX_MISSING = "index-missing"
    INDEX_OTHER_SCHEMA = "index-other-schema"
    INDEX_DAMAGED = "index-damaged"
    INDEX_DIFFERS = "index-differs"
    NAMESPACE = "namespace"
    ARCHIVE_MISSING = "archive-missing"
    ARCHIVE_DAMAGED = "archive-damaged"
    METADATA = "archive-metadata"
    PARITY = "recovery-data"
    PARITY_MISSING = "recovery-data-missing"
    HOT = "hot-content"
    CONTENT = "content-unknown"
    EXTENTS = "extents"
    LOST = "content-lost"
    LEFTOVER = "leftover"


_SEVERITY = {
    Kind.LOG_TAIL: Severity.NOTE,
    Kind.INDEX_MISSING: Severity.WARNING,
    Kind.INDEX_OTHER_SCHEMA: Severity.WARNING,
    Kind.LEFTOVER: Severity.WARNING,
    Kind.PARITY_MISSING: Severity.WARNING,
}

_REBUILD = "run djafs validate -r: the index is made anew from the log, also while it is mounted"
_REPAIR = "djafs validate -r repairs what can be"
_COPY = _REPAIR + ", with --from DIR also from a copy of the documents; or "
_RESTORE = _REPAIR + "; or restore {where} from a backup of the store"
_REPORT = "keep a copy of the store as it is, and report this as a defect of djafs"

ADVICE = {
    Kind.IDENTITY: _RESTORE,
    Kind.LOG_DAMAGED: _RESTORE + "; until then keep index.sqlite, which may hold what is lost here",
    Kind.LOG_MISFIT: _REPORT + "; until then keep index.sqlite, which may hold what is lost here",
    Kind.LOG_SHORT: _REPAIR + "; do so before the next mount, which would go back to where the log"
    " ends",
    Kind.LOG_TAIL: "nothing: the next mount cuts it off; it was never confirmed as durable",
    Kind.INDEX_MISSING: "mount the store: the index is rebuilt from the log",
    Kind.INDEX_OTHER_SCHEMA: "mount the store: the index is rebuilt from the log",
    Kind.INDEX_DAMAGED: _REBUILD,
    Kind.INDEX_DIFFERS: _REBUILD,
    Kind.NAMESPACE: _REPORT,
    Kind.ARCHIVE_MISSING: _COPY + "restore {where} from a backup",
    Kind.ARCHIVE_DAMAGED: _COPY + "restore {where} from a backup",
    Kind.METADATA: _REPAIR + "; no content depends on it",
    Kind.PARITY: _REPAIR + "; no content depends on it",
    Kind.PARITY_MISSING: "mount the store: it is made then, or the log of the mount says why not",
    Kind.HOT: _COPY + "write these files again",
    Kind.CONTENT: "write these files again, or restore the store from a backup",
    Kind.EXTENTS: "write these files again, or restore the store from a backup",
    Kind.LOST: "bring them back from a copy with djafs validate -r --from DIR, write these files"
    " again, or delete them",
    Kind.LEFTOVER: "nothing in the store needs it: move it away if it is not yours to keep",
}
"""What to do next. ``{where}`` is the place of the finding."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    ``where`` is a path relative to the store; ``what`` is one line, ``details`` more of the same
    (the first few, where there are many). ``affected`` gives the paths below the mount point of
    all files that it concerns, as printable text, and may be iterated any number of times; there
    may be millions, so that it is never a list in memory.
    """

    kind: Kind
    where: str
    what: str
    affected: Iterable[str] = ()
    details: list[str] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _SEVERITY.get(self.kind, Severity.ERROR)

    @property
    def advice(self) -> str:
        """What to do next, as a sentence without its full stop."""
        return ADVICE[self.kind].format(where=self.where)


Tell = Callable[[Finding], None]
"""Takes findings one by one, as they are made."""

Progress = Callable[[str], None]
"""Takes a line that says what has been checked."""

Meter = Callable[[str, int, int, bool], None]
"""Told what is being checked, how much of it is done, and of how much (0: not known).

The last argument says whether these are bytes.
"""


def unmeasured(what: str, done: int, total: int, sized: bool) -> None:
    """Take no note of how far a check is."""


MOST_DETAILS = 10
"""Details kept of a finding."""
