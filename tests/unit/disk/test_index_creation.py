"""An index is made at one go: a crash leaves all of it, or none, and then it is made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.errors import IndexDamageError

PAGE = 8192


def _with_log(directory: Path, index: bytes, log: bytes) -> Layout:
    """Return a store that has nothing but an index file and its write-ahead log."""
    directory.mkdir()
    layout = Layout(str(directory))
    Path(layout.index).write_bytes(index)
    Path(layout.index + "-wal").write_bytes(log)
    return layout


def test_a_crash_leaves_all_of_a_new_index_or_none(tmp_path: Path) -> None:
    made = Index.create(str(tmp_path / "made"))
    index, log = (tmp_path / "made").read_bytes(), (tmp_path / "made-wal").read_bytes()
    made.close()
    assert len(index) == PAGE, "something was written and synced before the rest"
    whole = Index.open(_with_log(tmp_path / "whole", index, log))
    tables = [name for (name,) in whole.connection.execute("SELECT name FROM sqlite_schema")]
    whole.close()
    assert {"inode", "dentry", "archive"} <= set(tables)
    for size in range(0, len(log), PAGE):
        with pytest.raises(IndexDamageError):
            Index.open(_with_log(tmp_path / f"{size}", index, log[:size]))
