"""Rows of the index as the lines of a checkpoint have them (docs/formats/checkpoint.md).

A line has the columns of its row by their names, without those that are NULL; bytes, which JSON
does not have, are written as in the lookup log, and what only makes the index fast is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from djafs.disk import contents, rows, sqlite, states
from djafs.disk.batch import ContentRow
from djafs.disk.content_writer import update_contents
from djafs.disk.hot_log import pack_checksums
from djafs.disk.inode_writer import put_inodes
from djafs.disk.names import put_names
from djafs.disk.records import bytes_of, text_of
from djafs.extents import Extent
from djafs.model import Dentry

Line = dict[str, Any]

_DERIVED = {"hot"}
_NOT_STATE = {"schema", "segment", "offset", "seq", "chain", "open"}  # the first line has them

_pack = msgspec.msgpack.Encoder().encode
_unpack_extra = msgspec.msgpack.Decoder(rows.Extra).decode


class Table:
    """One table of the index: its rows to lines, and back."""

    def __init__(self, db: sqlite.Connection, name: str) -> None:
        self.name = name
        info = db.execute(f"PRAGMA table_info({name})").fetchall()
        self.columns: list[str] = [column[1] for column in info]
        keys = sorted((column[5], column[1]) for column in info if column[5])
        order = ", ".join(key for _, key in keys)
        columns = ", ".join(self.columns)
        self._db = db
        self._select = f"SELECT {columns} FROM {name} ORDER BY {order}"
        marks = ", ".join("?" * len(self.columns))
        self._insert = f"INSERT OR REPLACE INTO {name} ({columns}) VALUES ({marks})"

    def found(self) -> Iterator[rows.Row]:
        """Yield the rows that have a line: what says where in the log the index is, has none."""
        for row in self._db.execute(self._select):
            if self.name != "state" or row[0] not in _NOT_STATE:
                yield row

    def add(self, found: list[rows.Row]) -> None:
        """Enter rows."""
        self._db.executemany(self._insert, found)

    def line_of(self, row: rows.Row) -> Line:
        """Return the fields of a row."""
        line: Line = {"row": self.name}
        for column, value in zip(self.columns, row, strict=True):
            if value is None or column in _DERIVED:
                continue
            if column == "extents":
                line[column] = [_extent_fields(e) for e in rows.unpack_extents(value)]
            elif column == "extra":
                line.update(_extra_fields(_unpack_extra(value)))
            elif column == "digest":
                line["sha256"] = value.hex()
            else:
                line[column] = text_of(value) if isinstance(value, bytes) else value
        return line

    def row_of(self, line: Line) -> rows.Row:
        """Return the row of a line.

        Raises ValueError, TypeError or KeyError when it is not a line of this table.
        """
        fields = dict(line)
        del fields["row"]
        values: Line = {}
        if "extents" in fields:
            extents = [_extent_of(extent) for extent in fields.pop("extents")]
            values["extents"] = rows.pack_part(extents)
            values["hot"] = rows.hot_of(extents)
        if "name" in fields:
            values["name"] = bytes_of(fields.pop("name"))
        if "sha256" in fields:
            values["digest"] = bytes.fromhex(fields.pop("sha256"))
        if "extra" in self.columns:
            values["extra"] = _extra_of(fields)
        for column in self.columns:
            if column in fields:
                values[column] = fields.pop(column)
        if fields:
            raise ValueError(f"{self.name} has no {', '.join(fields)}")
        return tuple(values.get(column) for column in self.columns)


class _Inodes(Table):
    """Inodes, field by field."""

    def __init__(self, db: sqlite.Connection, name: str) -> None:
        super().__init__(db, name)
        self.columns = rows.FIELDS.split(", ")

    def found(self) -> Iterator[rows.Row]:
        """Yield the fields of every inode."""
        for row in self._db.execute(f"SELECT {states.INODE} FROM inode i ORDER BY ino"):
            yield rows.fields_of(states.inode_of(row))

    def add(self, found: list[rows.Row]) -> None:
        """Enter inodes."""
        put_inodes(self._db, [rows.inode_from(fields) for fields in found])


class _Names(Table):
    """Names, without their hashes."""

    def __init__(self, db: sqlite.Connection, name: str) -> None:
        super().__init__(db, name)
        self.columns = ["parent", "cookie", "name", "ino", "begin", "made"]

    def found(self) -> Iterator[rows.Row]:
        """Yield every name."""
        columns = ", ".join(self.columns)
        yield from self._db.execute(f"SELECT {columns} FROM dentry ORDER BY parent, cookie")

    def add(self, found: list[rows.Row]) -> None:
        """Enter names of directories that were entered before."""
        names: dict[int, dict[bytes, Dentry | None]] = {}
        for parent, cookie, name, ino, begin, made in found:
            names.setdefault(parent, {})[name] = Dentry(ino, cookie, begin or 0, made or 0)
        query = f"SELECT {states.INODE} FROM inode i WHERE ino = ?"
        directories = [self._db.execute(query, (parent,)).fetchone() for parent in names]
        put_names(self._db, names, {row[0]: states.inode_of(row) for row in directories if row})


class _Contents(Table):
    """Contents, one by one."""

    def __init__(self, db: sqlite.Connection, name: str) -> None:
        super().__init__(db, name)
        self.columns = ["cid", *ContentRow._fields]

    def found(self) -> Iterator[rows.Row]:
        """Yield every content."""
        for number, held in self._db.execute("SELECT row, held FROM content ORDER BY row"):
            for cid, content in contents.unpack(number, held).items():
                yield cid, *content

    def add(self, found: list[rows.Row]) -> None:
        """Enter contents."""
        update_contents(self._db, {cid: ContentRow(*content) for cid, *content in found})


_SPECIAL = {"inode": _Inodes, "dentry": _Names, "content": _Contents}
_FROM_OTHERS = {"hot", "directory", "digest", "held"}  # tables that follow from others


def tables_of(db: sqlite.Connection) -> dict[str, Table]:
    """Return all tables of an index by their names."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid"
    names = [name for (name,) in db.execute(query).fetchall() if name not in _FROM_OTHERS]
    return {name: _SPECIAL.get(name, Table)(db, name) for name in names}


def _extent_fields(extent: Extent) -> list[Any]:
    if not extent.segment:
        return list(extent[:5])
    crcs = extent.crcs
    sums = [int.from_bytes(crcs[n : n + 4], "little") for n in range(0, len(crcs), 4)]
    return [*extent[:6], sums]


def _extent_of(fields: list[Any]) -> Extent:
    if len(fields) == 5:
        return Extent(*fields)
    offset, length, segment, at, base, span, crcs = fields
    return Extent(offset, length, segment, at, base, span, pack_checksums(crcs))


def _extra_fields(extra: rows.Extra) -> Line:
    line: Line = {}
    if extra.r:
        line["rdev"] = extra.r
    if extra.t is not None:
        line["target"] = text_of(extra.t)
    if extra.x:
        line["xattrs"] = [[text_of(name), value] for name, value in extra.x.items()]
    if extra.b:
        line["born"] = [list(pair) for pair in extra.b.items()]
    return line


def _extra_of(fields: Line) -> bytes | None:
    target, xattrs, born = (fields.pop(name, None) for name in ("target", "xattrs", "born"))
    extra = rows.Extra(
        fields.pop("rdev", 0),
        None if target is None else bytes_of(target),
        {bytes_of(n): msgspec.convert(v, bytes) for n, v in xattrs} if xattrs else None,
        {int(version): int(begin) for version, begin in born} if born else None,
    )
    if extra == rows.Extra():
        return None
    return _pack(extra)
