"""djafs validate: what it says of a store as a whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from djafs.errors import NewerFormatError, NotAStoreError
from djafs.tools.validate import validate
from djafs.tools.validation.findings import Kind
from rig.dated_store import World, lines_of


def test_a_store_in_use_is_clean(open_world: World):
    assert lines_of(open_world.path) == (0, ["0 errors"])


def test_a_closed_store_is_clean_and_untouched(world: World):
    def state() -> dict[str, tuple[int, int]]:
        paths = [world.path, *world.path.rglob("*")]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in paths}

    before = state()
    assert lines_of(world.path) == (0, ["0 errors"])
    assert state() == before


def test_verbose_says_what_was_checked(world: World):
    lines: list[str] = []
    validate(os.fspath(world.path), verbose=True, report=lines.append)
    text = "\n".join(lines)
    for said in ("lookup log: 1 segment", "1 archive, 2 contents", "5 inodes", "compared"):
        assert said in text
    assert lines[-1] == "0 errors"


def test_no_store(tmp_path: Path, world: World):
    with pytest.raises(NotAStoreError):
        lines_of(tmp_path / "nothing")
    identity = json.loads(Path(world.layout.identity).read_text())
    Path(world.layout.identity).write_text(json.dumps({**identity, "format": 99}))
    with pytest.raises(NewerFormatError):
        lines_of(world.path)


def test_djafs_json_that_is_damaged(world: World):
    Path(world.layout.identity).write_text("{")
    assert world.only(Kind.IDENTITY).where == "djafs.json"
    os.unlink(world.layout.identity)
    assert world.only(Kind.IDENTITY).where == "djafs.json"


def test_files_that_belong_to_nothing(world: World):
    for name in ("notes.txt", "hot/x", "lookups/y", "archives/00000009.tar.zst"):
        (world.path / name).touch()
    found = world.findings()
    assert {finding.kind for finding in found} == {Kind.LEFTOVER}
    assert [finding.where for finding in found] == [
        "notes.txt",
        "hot/x",
        "lookups/y",
        "archives/00000009.tar.zst",
    ]
    assert lines_of(world.path)[1][-1] == "0 errors, 4 warnings"
