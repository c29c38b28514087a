"""How far a command is: what is said, where, and that it never gets in the way of results."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from djafs.cli import progress
from djafs.cli.progress import State, describe
from rig.command import DJAFS, djafs, djafs_ok


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(0), "0 files, 0/s"),
        (State(1500, 4500), "1,500 of 4,500 files, 750/s, 4 s left"),
        (
            State(10, 20, bytes=3 << 20, ratio=9.84),
            "10 of 20 files, 3.0 MiB, 5/s, ratio 9.8, 2 s left",
        ),
        (
            State(1 << 20, 4 << 20, "archives", sized=True),
            "1.0 MiB of 4.0 MiB archives, 512.0 KiB/s, 6 s left",
        ),
    ],
)
def test_what_is_said(state, text):
    assert describe(state, 2.0) == text


def test_lines_come_now_and_then_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress(True) as display:
        display.show(State(1, 2))
        display.show(State(2, 2))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(",")[0] for line in captured.err.splitlines()] == [
        "1 of 2 files",
        "2 of 2 files",
    ]


def test_nobody_is_told_who_does_not_ask(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.progress(False) as display:
        display.show(State(1, 2))
        assert not display.visible
    assert capsys.readouterr().err == ""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(20):
        path = tmp_path / "source" / f"{number % 3}" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"number": {number}}}')
    return tmp_path / "source"


def on_terminal(*command: str | Path) -> tuple[str, bytes]:
    """Run djafs with stderr on a terminal; return what went to stdout, and what was drawn."""
    ours, terminal = os.openpty()
    try:
        at_once = "import djafs.cli.progress as p; p.QUICK_SECONDS = p.BAR_SECONDS = -1\n"
        run = "import sys; from djafs.cli.main import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [DJAFS[0], "-c", at_once + run, *command],
            stdout=subprocess.PIPE,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm"},
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout, os.read(ours, 1 << 20)
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_bar_is_drawn_on_a_terminal_and_stdout_holds_results_alone(source, store):
    out, drawn = on_terminal("convert", "--json", "-i", source, "-o", store)
    assert json.loads(out)["new"] == 20
    assert b"20 files" in drawn
    out, drawn = on_terminal("validate", "-p", store)
    assert out == "0 errors\n"
    assert b"archives" in drawn
    out, drawn = on_terminal("count", source)
    assert out == "20\n"
    assert b"files" in drawn


def test_count_as_json(source):
    done = djafs("count", "--json", source / "missing")
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["what"] == "No such file or directory"
    assert json.loads(djafs_ok("count", "--json", source))["files"] == 20


@pytest.mark.leaves_damage
def test_validate_as_json(source, store):
    djafs_ok("convert", "-i", source, "-o", store)
    said = json.loads(djafs_ok("validate", "--json", "-p", store))
    assert (said["errors"], said["warnings"], said["findings"]) == (0, 0, [])
    assert any(line.startswith("archives: 1 archive, 20 contents") for line in said["checked"])
    os.unlink(store / "archives/00000001.tar.zst")
    done = djafs("validate", "--json", "-p", store)
    assert done.returncode == 4
    said = json.loads(done.stdout)
    (finding,) = said["findings"]
    assert (said["errors"], finding["kind"], finding["severity"]) == (1, "archive-missing", "error")
    assert (finding["where"], finding["what"]) == ("archives/00000001.tar.zst", "it is missing")
    assert finding["affected_count"] == len(finding["affected"]) == 20
    assert finding["affected"][0].startswith("live/")
    refused = djafs("validate", "--json", "--checksums", "-p", store)
    assert refused.returncode == 16
