"""What djafs count prints, and where."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rig.command import DJAFS, djafs


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a", "b/c", "b/d"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "tree"


def test_prints_the_number_and_nothing_else(tree: Path):
    done = djafs("count", tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def test_counts_here_unless_told_otherwise(tree: Path):
    assert djafs("count", cwd=tree).stdout == "3\n"


def test_progress_goes_to_stderr(tree: Path):
    done = djafs("count", "--progress", tree)
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert done.stderr.startswith("3 files in ")


def test_progress_on_a_terminal_is_drawn_and_goes(tree: Path):
    ours, terminal = os.openpty()
    try:
        done = subprocess.run(
            [*DJAFS, "count", "--progress", tree],
            stdout=subprocess.PIPE,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm"},
            text=True,
            timeout=60,
            check=True,
        )
        drawn = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(terminal)
    assert done.stdout == "3\n"
    assert b"files" in drawn


def test_what_cannot_be_read_makes_status_1(tree: Path):
    done = djafs("count", tree / "no\nsuch")
    assert (done.returncode, done.stdout) == (1, "0\n")
    assert done.stderr == f"djafs: {tree}/no\\nsuch: No such file or directory\n"


def test_works_as_a_module_and_as_the_installed_command(tree: Path):
    command = Path(sys.executable).with_name("djafs")
    done = subprocess.run([command, "count", tree], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
