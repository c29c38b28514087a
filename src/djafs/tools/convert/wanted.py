"""What is asked for: directories and files of the source, and what they are in the store."""

from __future__ import annotations

from typing import NamedTuple

from djafs.model import Inode


class Place(NamedTuple):
    """A directory of the source, open, and what it is in the store."""

    descriptor: int
    ino: int
    path: bytes  # of the source, with a slash at its end unless empty
    fresh: bool  # the store has nothing in it
    member: bytes = b""  # what names of members begin with: the path below live/, and a slash


class Wanted(NamedTuple):
    """A regular file to be brought, and what the store has under its name."""

    name: bytes
    present: Inode | None
