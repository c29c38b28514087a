"""SQLite is asked the same question many thousand times a second: it plans each once."""

from __future__ import annotations

import apsw
import pytest

from djafs.disk import sqlite, states
from djafs.disk.index import Index
from djafs.disk.names import by_name, key


@pytest.fixture
def index():
    made = Index.create(sqlite.MEMORY)
    yield made
    made.close()


def test_a_statement_is_planned_once_whatever_is_bound(index: Index):
    planned: list[int] = []

    def plan(operation: int, *_: str | None) -> int:
        planned.append(operation)
        return apsw.SQLITE_OK

    questions = (
        lambda n: index.dentry(n, b"name %d" % n),
        index.inode,
        lambda n: index.entries_plus(n, n, 10),
        lambda n: index.connection.execute(
            by_name(states.INODE, "CROSS JOIN inode i ON i.ino = d.ino"), key(n, b"name %d" % n)
        ).fetchone(),
    )
    index.connection.authorizer = plan
    for ask in questions:
        ask(1)
        assert planned
        planned.clear()
        ask(2)
        ask(3)
        assert not planned
