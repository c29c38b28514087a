"""Lookup tables of the original djafs: one JSON object, read entry by entry.

A table may have millions of entries on its one line, may be empty or cut off, and old bytes may
follow it: so it is read as a stream, up to the end of its first value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import IO, Any, NamedTuple

CHUNK = 1 << 16
MOST = 16 << 20
"""Characters that one entry may have; a table whose entry has more is damaged."""

_BEGIN = re.compile(r'\s*\{\s*"entries"\s*:\s*(\[|null)')
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class TableError(ValueError):
    """A table, or one of its entries, is not what it should be."""


class TableEntry(NamedTuple):
    """One version of a file. ``modified`` is in nanoseconds, None where the table has no time."""

    name: str
    target: str
    size: int
    modified: int | None


def read_table(path: str) -> Iterator[TableEntry | TableError]:
    """Yield the entries of a table, and what is wrong with it where something is."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        try:
            for fields in _objects(file):
                try:
                    yield _entry(fields)
                except TableError as error:
                    yield error
        except TableError as error:
            yield error


class _Buffer:
    """Text of a file that is at hand, and the place in it up to which it was taken."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.text = ""
        self.at = 0

    def more(self) -> bool:
        """Read on, and forget what was taken; return whether there was anything."""
        chunk = self._file.read(CHUNK)
        self.text = self.text[self.at :] + chunk
        self.at = 0
        return bool(chunk)

    def following(self) -> str:
        """Return the next character that is no space, empty at the end; it is not taken."""
        while True:
            self.at = len(self.text) - len(self.text[self.at :].lstrip())
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def value(self, count: int) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """Take entry ``count``."""
        self.following()
        while True:
            try:
                fields, self.at = _decode(self.text, self.at)
            except ValueError:
                if len(self.text) - self.at > MOST or not self.more():
                    raise TableError(f"the table is cut off at entry {count:,}") from None
            else:
                return fields

    def next_is_last(self, count: int) -> bool:
        """Take what stands behind entry ``count``; return whether the list ends there."""
        following = self.following()
        if following not in {",", "]"}:
            what = "damaged" if following else "cut off"
            raise TableError(f"the table is {what} behind entry {count:,}")
        self.at += 1
        if self.at > CHUNK:
            self.more()
        return following == "]"


_decode = json.JSONDecoder().raw_decode


def _objects(file: IO[str]) -> Iterator[Any]:
    buffer = _Buffer(file)
    buffer.more()
    begin = _BEGIN.match(buffer.text)
    if begin is None:
        what = "holds no entries" if buffer.text.strip() else "is empty"
        raise TableError(f"the table {what}")
    buffer.at = begin.end()
    if begin[1] == "null" or buffer.following() == "]":
        return
    count = 0
    while True:
        count += 1
        fields = buffer.value(count)
        yield fields
        if buffer.next_is_last(count):
            return


def _entry(fields: Any) -> TableEntry:  # noqa: ANN401 (whatever JSON holds)
    try:
        name, target, size = fields["name"], fields.get("target", ""), fields.get("size", 0)
        modified = fields.get("modified")
    except (TypeError, KeyError, AttributeError):
        raise TableError(f"an entry has no name: {str(fields)[:80]}") from None
    if not (isinstance(name, str) and isinstance(target, str) and isinstance(size, int)):
        raise TableError(f"an entry has a field of another type: {str(fields)[:80]}")
    return TableEntry(name, target, size, time_of(modified))


def time_of(text: object) -> int | None:
    """Return a time in nanoseconds since the epoch, None for none (year 1)."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    moment, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = round((datetime.fromisoformat(moment + "+00:00") - _EPOCH).total_seconds())
    except ValueError:
        return None
    if sign:
        seconds -= int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
    if moment.startswith("0001-"):
        return None
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))


def text_of_time(nanoseconds: int) -> str:
    """Write a time as Go's RFC 3339 does: in UTC, without trailing zeros."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    try:
        moment = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        raise TableError(f"the format has no time {nanoseconds}") from None
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment:0>19}{digits}Z"
