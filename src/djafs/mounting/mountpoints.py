"""What the kernel has mounted, as ``/proc/self/mountinfo`` tells it (proc(5))."""

from __future__ import annotations

import os
import re
import select
import signal
from typing import NamedTuple

FILESYSTEM_TYPE = "fuse.djafs"
"""The type under which the kernel lists a djafs mount."""

KILL_SECONDS = 1.0
"""How long a child that waits for a filesystem may take to die."""

_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted filesystem."""

    mountpoint: str
    """Where it appears: an absolute path, free of symlinks."""

    type: str
    """Filesystem type, such as ``ext4`` or ``fuse.djafs``."""

    source: str
    """What is mounted; for djafs the store's directory."""

    @property
    def is_djafs(self) -> bool:
        """Whether a djafs daemon serves it, or did."""
        return self.type == FILESYSTEM_TYPE


def parse(line: bytes) -> Mount:
    """Read one line of mountinfo.

    The kernel writes blanks, tabs, newlines and backslashes in paths as three octal digits. A
    variable number of optional fields ends with a lone ``-``.
    """
    place, _, rest = line.partition(b" - ")
    kind, source = rest.split(b" ")[:2]
    return Mount(_unescape(place.split(b" ")[4]), _unescape(kind), _unescape(source))


def _unescape(field: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field))


def mounts() -> list[Mount]:
    """Return every mount of this process's mount namespace, oldest first."""
    with open("/proc/self/mountinfo", "rb") as listing:
        return [parse(line.rstrip(b"\n")) for line in listing]


def mount_at(mountpoint: str) -> Mount | None:
    """Return the mount on exactly this path (absolute, resolved), the topmost of several."""
    found = [mount for mount in mounts() if mount.mountpoint == mountpoint]
    return found[-1] if found else None


def resolve(path: str) -> str:
    """Return ``path`` absolute and free of symlinks, without touching it where it is a mount.

    Looking at the root of a mount whose daemon hangs would hang too; looking at what lies above
    it does not.
    """
    parent, name = os.path.split(os.path.abspath(path))
    candidate = os.path.join(os.path.realpath(parent), name)
    return candidate if mount_at(candidate) else os.path.realpath(path)


def probe(path: str, seconds: float) -> int | None:
    """Ask the filesystem at ``path`` for an answer, and wait at most ``seconds`` for it.

    Return 0 when it answers, the errno when it fails (``ENOTCONN``: its daemon is gone), None
    when no answer came. A call to a daemon that hangs cannot be interrupted, so a child makes
    it. statvfs is the question, because the kernel never answers it from its caches.
    """
    child = os.fork()
    if child == 0:
        try:
            os.statvfs(path)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(255)
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], seconds)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            # Until it is dead it keeps the mount busy. A daemon that has taken the question and
            # hangs over it keeps it alive, though.
            if select.select([handle], [], [], KILL_SECONDS)[0]:
                os.waitpid(child, 0)
            return None
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        os.close(handle)
