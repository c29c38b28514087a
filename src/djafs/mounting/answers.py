"""What every answer to the kernel is made of: attributes, and refusals."""

from __future__ import annotations

import os
import stat
from typing import NoReturn

from djafs.disk import rows, states
from djafs.extents import PART
from djafs.fuse import Attributes
from djafs.model import Inode

NAME_MAX = 255
"""Bytes that a name may have."""


_BLOCK = 4096

_attributes = Attributes._make  # from a tuple: a third of what naming them one by one takes


def refuse(number: int) -> NoReturn:
    """Raise the OSError that the caller will see."""
    raise OSError(number, os.strerror(number))


def attributes_of(inode: Inode, stored: int | None = None) -> Attributes:
    """Return what stat(2) shows of an inode; ``stored`` is how many bytes its extents hold.

    Without ``stored`` a file in several parts counts as free of holes.
    """
    mode, size = inode.mode, inode.size
    extents = inode.extents
    if stored is None:
        if size > PART:
            stored = size
        elif len(extents) == 1:
            stored = extents[0].length
        else:
            stored = sum(extent.length for extent in extents)
    if mode & 0o170000 == stat.S_IFDIR:
        size = stored = _BLOCK
    return _attributes(
        (
            inode.ino, size, (stored + 4095) >> 12 << 3, inode.atime, inode.mtime, inode.ctime,
            mode, inode.nlink, inode.uid, inode.gid, inode.rdev, _BLOCK,
        )
    )  # fmt: skip


def attributes_of_row(row: rows.Row) -> Attributes | None:
    """Return what stat(2) shows of a row of the index, None if its inode has to be made for that.

    For listings: half the time.
    """
    ino, nlink, state, _ = row
    shown = states.shown_of(state)
    if shown is None:
        return None
    size, stored, atime, mtime, ctime, mode, uid, gid = shown
    blocks = (stored + 4095) >> 12 << 3
    return _attributes((ino, size, blocks, atime, mtime, ctime, mode, nlink, uid, gid, 0, _BLOCK))
