"""Checkpoints: the whole state that a lookup log leads to, one line a row.

Format: docs/formats/checkpoint.md. A reader hands out nothing whose sum it has not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from zlib import crc32

import msgspec
import zstandard

from djafs.disk import rows, sqlite
from djafs.disk.checkpoint_rows import Line, tables_of
from djafs.disk.index import Index
from djafs.disk.layout import Layout, numbers
from djafs.disk.lookup_line import LINE, TAIL, Position, seal
from djafs.disk.lookup_segments import open_compressed
from djafs.errors import LookupLogDamageError

FORMAT = 1

BLOCK = 1000
"""Rows between two sums."""

_SUMMED = (b'{"row":"checkpoint",', b'{"row":"sum",', b'{"row":"end",')

_encode = msgspec.json.Encoder().encode


class Header(msgspec.Struct, frozen=True):
    """What the first line says."""

    format: int
    store: str
    segment: int
    offset: int
    seq: int
    chain: int

    @property
    def position(self) -> Position:
        """The place in the log up to which the checkpoint goes."""
        return Position(self.segment, self.offset, self.seq, self.chain)


def checkpoint_numbers(layout: Layout) -> list[int]:
    """Return the numbers of the last segments that checkpoints cover, ascending."""
    return numbers(layout.lookups, "djfc.zst")


def checkpoint_lines(db: sqlite.Connection, store: str) -> Iterator[bytes]:
    """Yield the lines of a checkpoint of an index, some at a time."""
    state = dict(db.execute("SELECT key, value FROM state"))
    position = [state[key] for key in ("segment", "offset", "seq", "chain")]
    header = Header(FORMAT, store, *position)
    first, chain = seal(_encode({"row": "checkpoint", **msgspec.structs.asdict(header)}), 0)
    yield first
    counts: dict[str, int] = {}
    for name, table in tables_of(db).items():
        counts[name] = 0
        found = table.found()
        while some := [_encode(table.line_of(row)) for row in islice(found, BLOCK)]:
            counts[name] += len(some)
            block = b"\n".join(some) + b"\n"
            last, chain = seal(b'{"row":"sum"}', crc32(block, chain))
            yield block + last
    yield seal(_encode({"row": "end", **counts}), chain)[0]


class CheckpointReader:
    """Reads a checkpoint; iterate once, for blocks of lines that are whole.

    Both raise LookupLogDamageError for what is not a whole checkpoint of the store.
    """

    header: Header

    def __init__(self, path: str, store: str) -> None:
        self.path = path
        self._lines = open_compressed(path)
        try:
            first = self._check(*self._read_block(0))[0]
            self.header = msgspec.convert(first, Header)
            if first["row"] != "checkpoint" or self.header.format != FORMAT:
                raise self._damage("it is no checkpoint of a format that is known")
            if self.header.store != store:
                raise self._damage("it belongs to another store")
        except msgspec.ValidationError as error:
            raise self._damage(str(error)) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def __iter__(self) -> Iterator[list[Line]]:
        """Yield the rows, block by block."""
        counts: dict[str, int] = {}
        while True:
            *found, last = self._check(*self._read_block(self._chain))
            for line in found:
                counts[line["row"]] = counts.get(line["row"], 0) + 1
            if found:
                yield found
            if last["row"] == "end":
                stated = {name: count for name, count in last.items() if count and name != "row"}
                stated.pop("sum")
                if stated != counts or self._lines.readline(1):
                    raise self._damage("it does not have the rows that it should")
                return

    def _read_block(self, chain: int) -> tuple[list[bytes], int]:
        """Read lines up to and with one that has a sum, and check it."""
        found: list[bytes] = []
        try:
            while line := self._lines.readline(LINE):
                found.append(line)
                if line.startswith(_SUMMED):
                    tail = TAIL.search(line)
                    if tail is None or crc32(line[: tail.start()], chain) != int(tail[1]):
                        raise self._damage("a sum is wrong")
                    return found, int(tail[1])
                chain = crc32(line, chain)
                if len(found) > BLOCK:
                    break
        except (zstandard.ZstdError, OSError) as error:
            raise self._damage(str(error)) from None
        raise self._damage("it is cut off")

    def _check(self, lines: list[bytes], chain: int) -> list[Line]:
        self._chain = chain
        try:
            found: list[Any] = [msgspec.json.decode(line) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._damage(str(error)) from None
        if not all(isinstance(line, dict) and isinstance(line.get("row"), str) for line in found):
            raise self._damage("a line is no row")
        return found

    def _damage(self, what: str) -> LookupLogDamageError:
        return LookupLogDamageError(f"{self.path} is damaged: {what}")


def load(path: str, store: str, index: Index) -> Position:
    """Fill an empty index from a checkpoint, and return the place up to which it goes.

    In short transactions, and the place last: an index that is not complete has none. Raises
    LookupLogDamageError, and then the index is to be emptied.
    """
    reader = CheckpointReader(path, store)
    tables = tables_of(index.connection)
    run = index.connection.execute
    try:
        for block in reader:
            found: dict[str, list[rows.Row]] = {}
            for line in block:
                name = line["row"]
                found.setdefault(name, []).append(tables[name].row_of(line))
            run("BEGIN")
            try:
                for name, some in found.items():
                    tables[name].add(some)
            finally:
                run("COMMIT")
    except (KeyError, TypeError, ValueError, sqlite.ConstraintError) as error:
        raise LookupLogDamageError(f"{path} is damaged: {error!r}") from error
    finally:
        reader.close()
    position = reader.header.position
    run("BEGIN")
    for key, value in position._asdict().items():
        run("INSERT OR REPLACE INTO state VALUES (?, ?)", (key, value))
    run("COMMIT")
    return position


def compare(path: str, store: str, index: Index) -> int:
    """Return how many rows a checkpoint has, which must be exactly those of ``index``.

    Raises LookupLogDamageError where they differ.
    """
    reader = CheckpointReader(path, store)
    db = index.connection
    tables = tables_of(db)

    def stored() -> Iterator[tuple[str, Any]]:
        for name, table in tables.items():
            for row in table.found():
                yield name, row

    expected = stored()
    count = 0
    try:
        if reader.header.position != index.position():
            raise LookupLogDamageError(f"{path} is of another place in the log")
        for block in reader:
            for line in block:
                count += 1
                name = line["row"]
                if (name, tables[name].row_of(line)) != next(expected, None):
                    raise LookupLogDamageError(f"{path} does not read back as what was written")
    except (KeyError, TypeError, ValueError) as error:
        raise LookupLogDamageError(f"{path} does not read back: {error!r}") from error
    finally:
        reader.close()
    if next(expected, None) is not None:
        raise LookupLogDamageError(f"{path} does not read back as what was written")
    return count
