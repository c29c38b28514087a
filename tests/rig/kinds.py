"""Files of every kind that Linux has, made at a site."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from rig.twins import Outcome, Site

MAKE: dict[str, Callable[[Site, str, int], Outcome]] = {
    "file": lambda at, path, mode: at.try_open(path, os.O_CREAT | os.O_WRONLY, mode),
    "mknod": lambda at, path, mode: at.mknod(path, stat.S_IFREG | mode),
    "directory": lambda at, path, mode: at.mkdir(path, mode),
    "fifo": lambda at, path, mode: at.mkfifo(path, mode),
    "socket": lambda at, path, mode: at.mknod(path, stat.S_IFSOCK | mode),
    "symlink": lambda at, path, mode: at.symlink("nowhere", path),
    "character device": lambda at, path, mode: at.mknod(path, stat.S_IFCHR | mode, 0x103),
    "block device": lambda at, path, mode: at.mknod(path, stat.S_IFBLK | mode, 0x701),
}
"""What makes a thing of each kind at a path, with a mode; ``mknod`` is another way to a file."""

KINDS = tuple(kind for kind in MAKE if kind != "mknod")
