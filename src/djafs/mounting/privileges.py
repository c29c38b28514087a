"""Set-user-ID and set-group-ID bits: when a change of a file takes them away, as Linux does."""

from __future__ import annotations

import stat

from djafs.fuse import Request
from djafs.model import Inode


def bare_mode(request: Request, inode: Inode) -> int | None:
    """Return the mode that is left after a write, truncation or chown; None if it stays.

    Set-group-ID without the right to execute marks mandatory locking: that goes only when the
    caller is not in the file's group.
    """
    mode = inode.mode
    if not mode & (stat.S_ISUID | stat.S_ISGID) or inode.is_directory:
        return None
    bare = mode & ~stat.S_ISUID
    if mode & stat.S_IXGRP or (mode & stat.S_ISGID and not is_in_group(request, inode.gid)):
        bare &= ~stat.S_ISGID
    return bare if bare != mode else None


def may_drop_bits(request: Request, inode: Inode) -> bool:
    """Return whether a request that does nothing else may take set-id bits away, if there are any.

    Before a write the kernel sends the same request as for a chown(2) that changes nobody. Who
    can neither write the file nor owns it made the latter, which must not do any harm. (Or has it
    open for writing still: then the write itself takes the bits away.)
    """
    mode = inode.mode
    if not mode & (stat.S_ISUID | stat.S_ISGID) or request.uid in (0, inode.uid):
        return True
    return bool(mode & (stat.S_IWGRP if is_in_group(request, inode.gid) else stat.S_IWOTH))


def is_in_group(request: Request, gid: int) -> bool:
    """Return whether the caller is root or in a group, supplementary groups included."""
    if request.uid == 0 or request.gid == gid:
        return True
    try:
        with open(f"/proc/{request.pid}/status", "rb") as status:
            for line in status:
                if line.startswith(b"Groups:"):
                    return gid in map(int, line.split()[1:])
    except OSError:  # gone, or of another PID namespace
        pass
    return False
