"""An index that is closed is as short as it can be, and says that it is whole once it is."""

from __future__ import annotations

import os
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest

from djafs.disk import index_writer, sqlite
from djafs.disk.index import Index
from djafs.disk.index_writer import IndexWriter
from djafs.disk.layout import Layout
from djafs.model import Calendar

PAGE = 8192
HOT = 2000


@pytest.fixture
def index(tmp_path: Path):
    """Return an index in which much was hot."""
    made = Index.create(str(tmp_path / "index.sqlite"))
    run = made.connection.executemany
    run("INSERT INTO state VALUES (?, 1)", [("open",)])
    run("INSERT INTO hot VALUES (?, 1, 1, ?)", [(ino, bytes(200)) for ino in range(HOT)])
    run("INSERT INTO day VALUES (?)", [(day,) for day in range(HOT)])
    run("DELETE FROM hot WHERE ino = ?", [(ino,) for ino in range(HOT)])
    yield made
    made.close()


def free(index: Index) -> int:
    return int(index.connection.execute("PRAGMA freelist_count").fetchone()[0])


def finish(index: Index) -> None:
    IndexWriter(index, Calendar(timezone.utc)).finish()


def test_what_became_free_is_given_back(tmp_path: Path, index: Index):
    path = tmp_path / "index.sqlite"
    index.holds_log()  # moves all into the file
    before = os.path.getsize(path)
    given = free(index)
    assert given > 40
    finish(index)
    assert free(index) == 0
    assert index.state()["open"] == 0
    assert [day for (day,) in index.connection.execute("SELECT day FROM day")] == list(range(HOT))
    assert index.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    index.close()
    assert os.path.getsize(path) == before - given * PAGE


def test_pages_moved_are_in_the_file_before_it_is_said_to_be_whole(tmp_path: Path, index: Index):
    finish(index)
    copy = tmp_path / "without-log"
    copy.mkdir()
    layout = Layout(str(copy))
    Path(layout.index).write_bytes((tmp_path / "index.sqlite").read_bytes())
    assert Index.bare_state(layout)["open"] == 1
    alone = sqlite.connect(layout.index, "ro", immutable=True)
    assert alone.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert alone.execute("SELECT count(*) FROM day").fetchone() == (HOT,)
    alone.close()


def test_closing_gives_back_only_so_much(index: Index, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(index_writer, "GIVEN_BACK", 3)
    before = free(index)
    finish(index)
    assert free(index) == before - 3


class FullDisk:
    """A connection that has no room for pages that move."""

    def __init__(self, connection: sqlite.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statements: str, *bindings: Any) -> sqlite.Cursor:
        if "incremental_vacuum" in statements:
            raise sqlite.FullError
        return self._connection.execute(statements, *bindings)


def test_what_is_free_is_kept_when_the_disk_is_full(index: Index):
    before = free(index)
    index.connection = FullDisk(index.connection)
    finish(index)
    assert free(index) == before
    assert index.state()["open"] == 0
