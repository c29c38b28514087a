"""djafs as a user runs it: a process with arguments, output and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

DJAFS = [sys.executable, "-m", "djafs"]


def djafs(
    *arguments: str | os.PathLike[str],
    seconds: float = 60,
    environment: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``djafs ARGUMENTS`` and return its outcome, text as with surrogateescape."""
    return subprocess.run(
        [*DJAFS, *map(os.fspath, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=seconds,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        check=False,
    )


def djafs_ok(*arguments: str | os.PathLike[str], seconds: float = 60) -> str:
    """Run ``djafs ARGUMENTS``, which must succeed, and return its stdout."""
    done = djafs(*arguments, seconds=seconds)
    assert done.returncode == 0, f"djafs {arguments} gave {done.returncode}: {done.stderr}"
    return done.stdout


def refused(*arguments: str | os.PathLike[str]) -> str:
    """Run ``djafs mount ARGUMENTS``, which must be refused; return the line that says why."""
    done = djafs("mount", *arguments)
    assert (done.returncode, done.stdout) == (8, ""), done.stderr
    assert done.stderr.startswith("djafs: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("djafs: ").removesuffix("\n")
