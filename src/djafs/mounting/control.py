"""How a command asks the daemon of a mount for something: an ioctl(2) on a directory of it.

No socket is needed, so there is nothing to protect, to name, or to leave behind, and the
kernel says who asks. The answer is JSON in a buffer of fixed size, padded with NUL.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any, cast

from djafs.errors import MountError

SIZE = 8192
"""Bytes of an answer at most."""


def _command(number: int) -> int:
    """Return the ioctl that only reads ``SIZE`` bytes, as _IOR('d', number, char[SIZE])."""
    return 2 << 30 | SIZE << 16 | ord("d") << 8 | number


GC = _command(1)
COUNT = _command(2)
COMPACT = _command(3)
REPAIR = _command(4) | 1 << 30  # takes a request of the same size along


def encode(answer: dict[str, Any]) -> bytes:
    """Return an answer as the ioctl hands it over."""
    return json.dumps(answer).encode().ljust(SIZE, b"\0")


def request_gc(mountpoint: str, *, compact: bool = False) -> dict[str, int | float]:
    """Pack what has come to rest in a mount, and return what was done.

    With ``compact`` archives are then made as few and as small as they can be. Keys: the fields
    of djafs.store.collector.Collected. Raises MountError when ``mountpoint`` is not a djafs
    mount, or the daemon could not pack.
    """
    answer = _ask(mountpoint, COMPACT if compact else GC)
    if answer is None:
        raise MountError(f"{mountpoint} is not in a djafs mount: give the directory it is on")
    if "error" in answer:
        raise MountError(str(answer["error"]))
    return cast("dict[str, int | float]", answer)


def request_repair(mountpoint: str, request: dict[str, Any]) -> None:
    """Have the daemon commit a repair (djafs.mounting.repairing).

    Raises MountError when it could not, or ``mountpoint`` is not a djafs mount.
    """
    answer = _ask(mountpoint, REPAIR, encode(request))
    if answer is None:
        raise MountError(f"{mountpoint}: the daemon of this mount cannot repair: mount it again")
    if "error" in answer:
        raise MountError(str(answer["error"]))


def request_count(path: str) -> int | None:
    """Return the regular files below a directory of ``live/``, None where no daemon can tell."""
    answer = _ask(path, COUNT)
    return None if answer is None or "files" not in answer else int(answer["files"])


def _ask(path: str, command: int, request: bytes = b"") -> dict[str, Any] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise MountError(f"{path} cannot be opened: {error.strerror}") from error
    buffer = bytearray(request.ljust(SIZE, b"\0"))
    try:
        fcntl.ioctl(descriptor, command, buffer)
    except PermissionError as error:
        raise MountError(f"{path}: only root and the owner of the mount may do this") from error
    except OSError:
        return None
    finally:
        os.close(descriptor)
    text = bytes(buffer).rstrip(b"\0")
    return json.loads(text) if text.startswith(b"{") else None
