"""Contents of archives as the index keeps them: some of successive numbers in one row.

Conversion only. Contents of one archive are given successive numbers in the order of its tar, so
that what they have in common stands once (docs/formats/index.md, "Contents").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate

from djafs.disk.batch import ContentRow

GROUP = 25
"""Contents in a row, which is such that rows of usual contents fill a page."""

PREFIX = 3
"""Bytes of a SHA-256 by which the rows are found that may have it."""

_DIGEST = 32
# Which are there; the least archive, at, size; their forms; whether at is exact.
_HEAD = struct.Struct(">I3Q4B")
_CODES = ((1, ""), (1 << 16, "H"), (1 << 32, "I"), (1 << 64, "Q"))  # for numbers below
_WIDTHS = {"": 0, "H": 2, "I": 4, "Q": 8}
_BLOCK = 512  # of a tar: contents begin at multiples of it
_CLOSE = 3  # a larger form of places: so many blocks less stand between a content and the next one
_MOST = 255 - _CLOSE


def row_of(cid: int) -> int:
    """Return the number of the row that has a content."""
    return cid // GROUP


def prefix_of(digest: bytes) -> int:
    """Return what the rows with a SHA-256 are found by."""
    return int.from_bytes(digest[:PREFIX], "big", signed=True)


def pack(row: int, held: dict[int, ContentRow]) -> bytes:
    """Return the contents of a row as stored; ``held`` has them by their numbers, at least one."""
    order = sorted(held)
    present, first = 0, row * GROUP
    for cid in order:
        present |= 1 << cid - first
    digests, archives, places, sizes = zip(*[held[cid] for cid in order], strict=True)
    unit = 1 if any(at % _BLOCK for at in places) else _BLOCK
    blocks = [at // unit for at in places]
    gap = _gap(blocks, sizes) if unit == _BLOCK else 0
    bases, forms, packed = [], [], []
    for column in (archives, blocks, sizes):
        base, most = min(column), max(column)
        form = 0
        if gap and column is blocks:
            form = _CLOSE + gap
        else:
            while most - base >= _CODES[form][0]:
                form += 1
            if form:
                code = f">{len(column)}{_CODES[form][1]}"
                packed.append(struct.pack(code, *[value - base for value in column]))
        bases.append(base)
        forms.append(form)
    head = _HEAD.pack(present, *bases, *forms, unit == 1)
    return b"".join([head, *packed, *digests])


def unpack(row: int, stored: bytes) -> dict[int, ContentRow]:
    """Return the contents of a row by their numbers (raises ValueError for what is none)."""
    present, columns, gap, digests = _parse(row, stored)
    numbers = [row * GROUP + slot for slot in range(GROUP) if present >> slot & 1]
    archives, places, sizes = (_values(column, len(numbers), stored) for column in columns)
    if gap:
        places = _close(places[0], sizes[:-1], gap)
    unit = _unit(stored)
    found = {}
    for cid, archive, at, size in zip(numbers, archives, places, sizes, strict=True):
        found[cid] = ContentRow(stored[digests : digests + _DIGEST], archive, at * unit, size)
        digests += _DIGEST
    return found


def pick(cid: int, stored: bytes) -> ContentRow | None:
    """Return one content of the row that may have it (raises ValueError for what is no row)."""
    row, slot = divmod(cid, GROUP)
    present, columns, gap, digests = _parse(row, stored)
    if not present >> slot & 1:
        return None
    number = bin(present & (1 << slot) - 1).count("1")
    archive, at, size = [
        base + struct.unpack_from(">" + code, stored, place + number * _WIDTHS[code])[0]
        if code
        else base
        for base, code, place in columns
    ]
    if gap and number:
        least, code, place = columns[2]
        more = struct.unpack_from(f">{number}{code}", stored, place) if code else (0,) * number
        at += gap * number - sum([(-least - value) // _BLOCK for value in more])
    digests += number * _DIGEST
    return ContentRow(stored[digests : digests + _DIGEST], archive, at * _unit(stored), size)


_Column = tuple[int, str, int]  # least value, code of what is added to it, where that begins


def _parse(row: int, stored: bytes) -> tuple[int, list[_Column], int, int]:
    """Return which contents a row has, its columns, the gap, and where the digests begin.

    With a gap that is not 0, the column of places has but the first one.
    """
    try:
        present, archive, at, size, *forms = _HEAD.unpack_from(stored)
        count = bin(present).count("1")
        gap = 0
        if forms[1] > _CLOSE:
            gap, forms[1] = forms[1] - _CLOSE, 0
        columns = []
        place = _HEAD.size
        for base, form in zip((archive, at, size), forms, strict=False):
            code = _CODES[form][1]
            columns.append((base, code, place))
            place += count * _WIDTHS[code]
    except (struct.error, IndexError, TypeError) as error:
        raise ValueError(f"row {row} of contents is damaged: {error}") from error
    if not present or present >> GROUP or len(stored) != place + count * _DIGEST:
        raise ValueError(f"row {row} of contents is damaged: it has {len(stored)} bytes")
    return present, columns, gap, place


def _values(column: _Column, count: int, stored: bytes) -> list[int]:
    """Return the first ``count`` values of a column."""
    base, code, place = column
    if not code:
        return [base] * count
    return [base + value for value in struct.unpack_from(f">{count}{code}", stored, place)]


def _gap(places: list[int], sizes: Sequence[int]) -> int:
    """Return how many blocks stand between each content and the next, 0 if it cannot be said."""
    if len(places) < 2:
        return 0
    gap = places[1] - places[0] + -sizes[0] // _BLOCK
    if 0 < gap <= _MOST and _close(places[0], sizes[:-1], gap) == places:
        return gap
    return 0


def _close(first: int, sizes: Sequence[int], gap: int) -> list[int]:
    """Return the place of a content, and of the one behind each of ``sizes``, in blocks."""
    return list(accumulate([gap - -size // _BLOCK for size in sizes], initial=first))


def _unit(stored: bytes) -> int:
    return 1 if stored[_HEAD.size - 1] else _BLOCK
