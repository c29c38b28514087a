"""Names are found in directories of few and of many, and while one becomes the other."""

from __future__ import annotations

import pytest

from djafs.disk import rows, sqlite
from djafs.disk.index import Index
from djafs.disk.names import FEW, is_hashed, put_names
from djafs.model import Dentry, Inode

PARENT, OTHER = 5, 6


@pytest.fixture
def index():
    made = Index.create(sqlite.MEMORY)
    yield made
    made.close()


def put(index: Index, parent: int, first: int, last: int) -> None:
    """Give a directory names up to ``last``, those from ``first`` on in one batch."""
    directory = Inode(parent, 0o040755, 0, 0, 1)
    directory.entries = last
    names = {b"name %d" % n: Dentry(100 + n, 16 + n) for n in range(first, last)}
    put_names(index.connection, {parent: dict(names)}, {parent: directory})


def found(index: Index, parent: int, many: int) -> None:
    for number in range(many):
        assert index.dentry(parent, b"name %d" % number) == Dentry(100 + number, 16 + number)
    assert index.dentry(parent, b"name %d" % many) is None
    assert index.name_hashes(parent) == {rows.name_hash(b"name %d" % n) for n in range(many)}


def test_names_of_a_directory_that_grows(index: Index):
    put(index, OTHER, 0, 3)
    put(index, PARENT, 0, FEW)
    found(index, PARENT, FEW)
    assert not is_hashed(index.connection, PARENT)
    put(index, PARENT, FEW, FEW + 2)
    found(index, PARENT, FEW + 2)
    assert is_hashed(index.connection, PARENT)
    put(index, PARENT, FEW + 2, FEW + 3)
    found(index, PARENT, FEW + 3)
    assert not is_hashed(index.connection, OTHER)
    found(index, OTHER, 3)


def test_names_keep_their_hashes_when_few_are_left(index: Index):
    put(index, PARENT, 0, FEW + 1)
    index.connection.execute("DELETE FROM dentry WHERE cookie >= 18")
    found(index, PARENT, 2)
    put(index, PARENT, 2, 3)
    found(index, PARENT, 3)


def test_names_whose_hashes_are_the_same_are_told_apart(index: Index):
    by_hash: dict[int, bytes] = {}
    for number in range(1 << 20):
        name = b"%d" % number
        twin = by_hash.setdefault(rows.name_hash(name), name)
        if twin != name:
            break
    put(index, PARENT, 0, FEW + 1)
    directory = Inode(PARENT, 0o040755, 0, 0, 1)
    names = {twin: Dentry(7, 1000), name: Dentry(8, 1001)}
    put_names(index.connection, {PARENT: dict(names)}, {PARENT: directory})
    assert index.dentry(PARENT, twin) == Dentry(7, 1000)
    assert index.dentry(PARENT, name) == Dentry(8, 1001)


def test_a_name_that_is_not_there_is_not_looked_for_from_end_to_end(index: Index):
    put(index, PARENT, 0, 2000)
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    index.connection.set_progress_handler(count, 1)  # each instruction of SQLite
    assert index.dentry(PARENT, b"name 2000") is None
    index.connection.set_progress_handler(None)
    assert 0 < steps < 200


def test_names_that_come_in_order_fill_their_pages(index: Index):
    names = {
        parent: {b"%04d.json" % n: Dentry(24 * parent + n, 48 * parent + 2 * n) for n in range(24)}
        for parent in range(10_000, 10_800)
    }
    put_names(index.connection, {parent: dict(found) for parent, found in names.items()}, {})
    for table in ("dentry", "dentry_ino"):
        full = index.connection.execute(
            "SELECT 1 - sum(unused) * 1.0 / sum(pgsize) FROM dbstat WHERE name = ?", (table,)
        ).fetchone()[0]
        assert full > 0.92  # 7/8 if each came behind the one before
    for parent, found in names.items():
        assert {name: index.dentry(parent, name) for name in found} == found
        assert {name for n in range(24) for _, name in index.names_of(24 * parent + n)} == set(
            found
        )
