"""Two indexes row by row, in constant memory: the store's, and the one that its log makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from djafs.disk import contents, rows, states
from djafs.disk.index import Index
from djafs.model import Calendar
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.findings import Finding, Kind
from djafs.tools.validation.history import History
from djafs.tools.validation.paths import Paths
from djafs.tools.validation.workspace import Workspace

Row = tuple[Any, ...]

_NAMED = "(SELECT 1 FROM inode i WHERE i.ino = p.ino AND i.nlink != 0)"


class _Table(NamedTuple):
    """A table whose rows must be equal. The first ``key`` columns identify a row.

    Rows that hold several things, or one that is packed, are told apart field by field: ``parts``
    returns what is in one, each with the same ``key`` in front, and ``fields`` are its names.
    Inodes without a name are left out: the daemon lets them go without logging it.
    """

    name: str
    key: int
    query: str
    parts: Callable[[Row], list[Row]] | None = None
    fields: str = ""

    @property
    def names(self) -> list[str]:
        """The names of what a row, or a part of it, consists of."""
        columns = self.query.split(" FROM ")[0].removeprefix("SELECT ")
        return (self.fields or columns).split(", ")


_TABLES = (
    _Table(
        "inode",
        1,
        f"SELECT {states.INODE} FROM inode i WHERE nlink != 0 ORDER BY ino",
        lambda row: [rows.fields_of(states.inode_of(row))],
        rows.FIELDS,
    ),
    _Table("hot", 1, f"SELECT ino, segment, last FROM hot p WHERE EXISTS {_NAMED} ORDER BY ino"),
    _Table(
        "directory",
        1,
        f"SELECT ino, parent, files FROM directory p WHERE EXISTS {_NAMED} ORDER BY ino",
    ),
    _Table(
        "dentry",
        2,
        "SELECT parent, cookie, name, ino, begin, made FROM dentry ORDER BY parent, cookie",
    ),
    _Table(
        "part",
        2,
        f"SELECT ino, part, version, extents, hot FROM part p WHERE EXISTS {_NAMED}"
        " ORDER BY ino, part",
    ),
    _Table("version", 2, f"SELECT {rows.VERSION} FROM version ORDER BY ino, day"),
    _Table(
        "past_part",
        3,
        "SELECT ino, part, until, extents, hot FROM past_part ORDER BY ino, part, until",
    ),
    _Table(
        "content",
        1,
        "SELECT row, held FROM content ORDER BY row",
        lambda row: [(cid, *content) for cid, content in contents.unpack(*row).items()],
        "cid, digest, archive, at, size",
    ),
    _Table("digest", 2, "SELECT prefix, row FROM digest ORDER BY prefix, row"),
    _Table("held", 2, "SELECT archive, row FROM held ORDER BY archive, row"),
    _Table("archive", 1, "SELECT archive, members, bytes FROM archive ORDER BY archive"),
)

_AT_ONCE = 256
"""Rows compared at once: one by one takes twice as long."""

_COUNTERS = ("ino", "content", "archive")


class Comparison:
    """Compares ``stored`` with ``made``, which stands at the same place of the same log."""

    def __init__(
        self, stored: Index, made: Index, calendar: Calendar, workspace: Workspace
    ) -> None:
        self._stored, self._made = stored.connection, made.connection
        self._workspace = workspace
        self._stored_paths = Paths(stored, calendar)
        self._made_paths = Paths(made, calendar)
        self._history = History(stored, made, calendar)
        self.rows = 0
        self.suspects: list[Suspect] = []  # wrong places of contents: all who refer are affected

    def run(self) -> Iterator[Finding]:
        """Yield the differences, one finding for each table."""
        for table in _TABLES:
            suspect = self._suspect(table.name)
            self._compare(table, suspect)
            if suspect.count and table.name == "content":
                suspect.needed = True
                self.suspects.append(suspect)
            elif suspect.count:
                yield suspect.finding()
        yield from self._compare_history()
        yield from self._compare_counters()

    def _suspect(self, table: str) -> Suspect:
        affected = self._workspace.affected()
        noun = f"differences in table {table}"
        return Suspect(Kind.INDEX_DIFFERS, "index.sqlite", affected, noun=noun)

    def _compare(self, table: _Table, suspect: Suspect) -> None:
        left = self._stored.execute(table.query)
        right = self._made.execute(table.query)
        for key, stored, made in self._differences(table, *self._past_equal(left, right)):
            if stored is None:
                what = "the index does not have it"
            elif made is None:
                what = "the log does not have it"
            else:
                pairs = zip(table.names, stored, made, strict=True)
                wrong = [name for name, one, other in pairs if one != other]
                what = f"differs in {', '.join(wrong)}" if wrong else "is packed in another way"
            suspect.add(f"{table.name} {_shown(key)}: {what}")
            self._name(table.name, stored, made, suspect)

    def _past_equal(
        self, left: Iterator[Row], right: Iterator[Row]
    ) -> tuple[Iterator[Row], Iterator[Row]]:
        """Return what follows the rows at the beginning that are equal: mostly nothing."""
        some: list[Row] = []
        others: list[Row] = []
        while some == others:
            self.rows += len(some)
            some, others = list(islice(left, _AT_ONCE)), list(islice(right, _AT_ONCE))
            if not some and not others:
                break
        return chain(some, left), chain(others, right)

    def _differences(
        self, table: _Table, left: Iterator[Row], right: Iterator[Row]
    ) -> Iterator[tuple[Row, Row | None, Row | None]]:
        """Yield what differs: (key, row on the left, row on the right)."""
        for key, one, other in self._pairs(left, right, table.key):
            if table.parts is None:
                yield key, one, other
            else:
                some, others = _parts(table.parts, one), _parts(table.parts, other)
                if some == others and some:
                    yield some[0][: table.key], some[0], others[0]
                yield from self._pairs(iter(some), iter(others), table.key)

    def _pairs(
        self, left: Iterator[Row], right: Iterator[Row], key: int
    ) -> Iterator[tuple[Row, Row | None, Row | None]]:
        one, other = next(left, None), next(right, None)
        while one is not None or other is not None:
            self.rows += 1
            if one == other:
                one, other = next(left, None), next(right, None)
            elif other is None or (one is not None and _order(one[:key]) < _order(other[:key])):
                assert one is not None
                yield one[:key], one, None
                one = next(left, None)
            elif one is None or one[:key] != other[:key]:
                yield other[:key], None, other
                other = next(right, None)
            else:
                yield one[:key], one, other
                one, other = next(left, None), next(right, None)

    def _name(self, table: str, stored: Row | None, made: Row | None, suspect: Suspect) -> None:
        for paths, row in ((self._stored_paths, stored), (self._made_paths, made)):
            if row is None:
                continue
            if table == "content":
                self._workspace.scratch.execute(
                    "INSERT OR IGNORE INTO bad_content VALUES (?, ?, ?)",
                    (row[0], row[2], suspect.affected.number),
                )
            elif table in _NAMES:
                suspect.affected.add(_NAMES[table](paths, row))

    def _compare_history(self) -> Iterator[Finding]:
        for table, differences in (
            ("binding", self._history.bindings()),
            ("since", self._history.since()),
            ("day", self._history.days()),
        ):
            suspect = self._suspect(table)
            for detail, paths in differences:
                suspect.add(f"{table} {detail}")
                suspect.affected.add(paths)
            if suspect.count:
                yield suspect.finding()

    def _compare_counters(self) -> Iterator[Finding]:
        query = "SELECT key, value FROM state"
        stored, made = dict(self._stored.execute(query)), dict(self._made.execute(query))
        if not stored.get("seq"):
            return  # nothing is applied yet, and nothing is stored
        for counter in _COUNTERS:
            if stored.get(counter, 0) < made.get(counter, 0):
                what = f"the next {counter} number is {stored.get(counter)}, which is taken"
                yield Finding(Kind.INDEX_DIFFERS, "index.sqlite", what)


def _parts(parts: Callable[[Row], list[Row]], row: Row | None) -> list[Row]:
    """Return what is in a row: nothing if there is none, or it is damaged."""
    if row is None:
        return []
    try:
        return parts(row)
    except (ValueError, TypeError):
        return []


def _dentry(paths: Paths, row: Row) -> Iterator[str]:
    yield paths.entry(row[0], row[2])


_NAMES: dict[str, Callable[[Paths, Row], Iterator[str]]] = {
    "inode": lambda paths, row: paths.live(row[0]),
    "dentry": _dentry,
    "part": lambda paths, row: paths.live(row[0]),
    "version": lambda paths, row: paths.past(row[0], row[1]),
    "past_part": lambda paths, row: paths.past_part(row[0], row[1], row[2]),
}


def _order(key: Row) -> Row:
    """Return a key in the order of SQLite, whatever types a damaged index holds."""
    return tuple((_RANK.get(type(value), 2), value) for value in key)


_RANK: dict[type, int] = {type(None): 0, int: 1, float: 1, str: 2, bytes: 3}


def _shown(key: Row) -> str:
    return " ".join(str(value) for value in key)
