"""Mounting and unmounting through fusermount3, which needs no privileges.

fusermount3 opens ``/dev/fuse``, mounts, and sends the descriptor back through the socket whose
number is in the environment variable ``_FUSE_COMMFD`` (libfuse, ``util/fusermount.c``).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from struct import Struct

from djafs.fuse.errors import FuseError

_DEVICE = "/dev/fuse"
_PROGRAM = "fusermount3"
_INT = Struct("=i")


def escape_option(value: str) -> str:
    r"""Return an option so that a comma in it does not end it: ``a,b\c`` as ``a\,b\\c``."""
    return value.replace("\\", "\\\\").replace(",", "\\,")


def mount(mountpoint: str, options: Sequence[str] = ()) -> int:
    """Mount on the directory ``mountpoint`` and return the descriptor to serve.

    Each of ``options`` is one option of mount.fuse3(8), such as ``default_permissions`` or
    ``fsname=/a,b``; they are escaped here. ``auto_unmount`` is refused: it needs a second process
    for the life of the mount. Nothing in the mount answers until the descriptor is served; when
    it is closed, everything fails with ENOTCONN until :func:`unmount`.

    Raises FuseError if that fails, with what fusermount3 has to say about it.
    """
    if "auto_unmount" in options:
        raise FuseError("the option auto_unmount is not supported")
    program = _find_program()
    if not os.path.exists(_DEVICE):
        raise FuseError(
            f"{_DEVICE} is missing: load the kernel module (`modprobe fuse`), or give the"
            f" container that device"
        )
    joined = ",".join(escape_option(option) for option in options)
    command = [program, *(["-o", joined] if joined else []), "--", mountpoint]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        result = subprocess.run(
            command,
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        theirs.close()
        if result.returncode == 0:
            # It has been sent before fusermount3 ended, so this does not wait.
            # (Not socket.recv_fds, which forgets its flags.)
            room = socket.CMSG_LEN(_INT.size)
            for _, _, content in ours.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)[1]:
                descriptor: int = _INT.unpack(content)[0]
                return descriptor
    raise FuseError(f"cannot mount on {mountpoint}: {_complaint(result.stderr)}")


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """Unmount; :meth:`~djafs.fuse.server.Server.serve` then returns.

    Fails while something in the mount is open or is a working directory. With ``lazy`` it
    succeeds: the name is detached at once, and the server goes on until the last user is gone.
    Not to be called on the thread that serves, not even from a signal handler: the kernel may
    have pages to write out first, and would wait for their answers.

    Raises FuseError if that fails.
    """
    program = _find_program()
    command = [program, "-u", *(["-z"] if lazy else []), "--", mountpoint]
    result = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if result.returncode != 0:
        raise FuseError(f"cannot unmount {mountpoint}: {_complaint(result.stderr)}")


def _find_program() -> str:
    program = shutil.which(_PROGRAM)
    if program is None:
        raise FuseError(f"{_PROGRAM} is not installed: `apt install fuse3` (or the like) adds it")
    return program


def _complaint(stderr: bytes) -> str:
    """Return what a program wrote to stderr as one line, without its name in front."""
    lines = stderr.decode(errors="replace").split("\n")
    said = "; ".join(line.removeprefix(f"{_PROGRAM}: ").strip() for line in lines if line.strip())
    return said or f"{_PROGRAM} failed without saying why"
