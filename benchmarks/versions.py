"""Which version of each peer was measured."""

from __future__ import annotations

import contextlib
from pathlib import Path

import toolchain

HERE = Path(__file__).resolve().parent


def libfuse_version() -> str:
    return "libfuse " + toolchain.run("pkg-config", "--modversion", "fuse3").strip()


def bindfs_version() -> str:
    return toolchain.run(toolchain.program("bindfs"), "--version").strip()


def first_line(program: str, option: str) -> str:
    """Return the first line of what a program says of its version."""
    return toolchain.run(toolchain.program(program), option).strip().splitlines()[0]


def djafs_version() -> str:
    """What djafs says of itself, and the commit if this is a checkout."""
    words = toolchain.run(toolchain.djafs(), "--version").strip()
    with contextlib.suppress(toolchain.UnavailableError):
        words += (
            " · commit "
            + toolchain.run(
                "git", "-C", HERE, "describe", "--always", "--dirty", "--exclude=*"
            ).strip()
        )
    return words
