"""The disk that everything is measured on: a new ext4 in a file, or a plain directory.

A new filesystem has no past. On the disk as it is, creating a file can cost ten times as much as
it should because of what was deleted there before: an ext4 without a journal walks past every
inode deleted within the last minutes before it takes a free one. So root gets a fresh ext4 as
``mkfs.ext4`` makes it, with a journal, on a loop device with direct I/O to a file on the disk in
question; others measure in a directory on the disk itself, and the report says which it was.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mounts
import toolchain

MOST = 16 << 30
LEAST = 3 << 30


@dataclass(frozen=True)
class Volume:
    """Where to measure, and what it is."""

    path: Path
    description: str


@contextlib.contextmanager
def volume(scratch: Path, kind: str) -> Iterator[Volume]:
    """Provide the place to measure in: *kind* is ``fresh``, ``here``, or ``auto`` to choose."""
    if kind == "here" or (kind == "auto" and os.geteuid() != 0):
        yield Volume(scratch, f"{filesystem(scratch)}, a directory of the disk as it is")
        return
    try:
        point = make_ext4(scratch)
    except toolchain.UnavailableError as error:
        if kind == "fresh":
            raise SystemExit(f"cannot make a fresh ext4: {error}") from None
        yield Volume(scratch, f"{filesystem(scratch)}, a directory of the disk as it is ({error})")
        return
    try:
        yield Volume(
            point,
            f"a fresh {filesystem(point)} on a loop device with direct I/O, "
            f"in a file on {filesystem(scratch)}",
        )
    finally:
        mounts.take_down(point)


def make_ext4(scratch: Path) -> Path:
    """Make an ext4 in a file and mount it; the loop device goes when it is unmounted."""
    image, point = scratch / "ext4.img", scratch / "ext4"
    size = min(MOST, shutil.disk_usage(scratch).free * 3 // 4)
    if size < LEAST:
        raise toolchain.UnavailableError("not enough free space for an image")
    image.touch()
    os.truncate(image, size)
    # All of the metadata is written now: a kernel thread would do it later, while we measure.
    toolchain.run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
    device = toolchain.run("losetup", "--find", "--show", "--direct-io=on", image).strip()
    point.mkdir()
    try:
        toolchain.run("mount", device, point)
    finally:
        toolchain.run("losetup", "--detach", device)  # as soon as nothing uses it
    return point


def filesystem(path: Path) -> str:
    """Name the type of the filesystem that a path lies on, with its options."""
    best = ("", "")
    with open("/proc/self/mountinfo") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            point = left.split()[4]
            inside = str(path) == point or str(path).startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                kind, _, options = right.split(maxsplit=2)
                best = (point, f"{kind} ({options.strip()})")
    return best[1]
