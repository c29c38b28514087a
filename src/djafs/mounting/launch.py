"""How the daemon comes to life, in the foreground or behind the shell's back.

In the background, ``djafs mount`` starts itself again as ``djafs mount --foreground`` in a
session of its own (a fresh process rather than a fork: nothing of the caller's descriptors,
threads or working directory leaks into a daemon that lives for months). The two talk over a
*status pipe*, one JSON line from the daemon::

    {"status": 0}                           the kernel's INIT is answered
    {"status": 8, "message": "..."}         it could not be, and why

A pipe that closes without a line means that the daemon died; what it wrote to stderr tells why.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable

from djafs.errors import DjafsError, MountError
from djafs.mounting import reporting
from djafs.mounting.checks import check
from djafs.mounting.mountpoints import mount_at, probe
from djafs.mounting.options import MountOptions
from djafs.mounting.unmounting import detach
from djafs.printable import printable

_log = logging.getLogger("djafs.mounting")

ANSWER_SECONDS = 30.0
"""How long a mount whose INIT was answered may take for its first answer to anybody else."""

STOP_SECONDS = 10.0
"""How long a daemon that is told to stop may take before it is killed."""


def serve_in_foreground(options: MountOptions, ready: Callable[[], None]) -> None:
    """Check, mount and serve until the mount ends; ``ready`` is called once it answers.

    Raises DjafsError when it cannot be mounted.
    """
    _name_process(options)
    check(options)
    reporting.start(log_file=options.log_file, foreground=options.foreground)
    # Not at the top: the daemon brings in the store and the FUSE layer, which the parent of a
    # background mount never needs.
    from djafs.mounting.daemon import serve  # noqa: PLC0415

    serve(options, ready)


def serve_in_background(options: MountOptions, descriptor: int) -> int:
    """Serve as the child of :func:`start`; ``descriptor`` is its end of the status pipe.

    Return the exit status.
    """
    status = _Status(descriptor)
    os.chdir("/")  # a daemon keeps no directory busy
    try:
        serve_in_foreground(options, status.mounted)
    except DjafsError as error:
        if status.told:
            _log.critical("%s", error)
        else:
            status.failed(error)
        return error.exit_status
    except Exception:
        if not status.told:
            raise  # stderr still leads to the parent, which passes the last line on
        _log.critical("internal error", exc_info=True)
        return DjafsError.exit_status
    return 0


class _Status:
    """The daemon's end of the status pipe: at most one line is written, then it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.told = False
        os.set_inheritable(descriptor, False)

    def mounted(self) -> None:
        """Let the parent go, and with it the stderr that it lent: from now on there is the log."""
        self._tell({"status": 0})
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def failed(self, error: DjafsError) -> None:
        """Give the parent the error to raise."""
        self._tell({"status": error.exit_status, "message": str(error)})

    def _tell(self, message: dict[str, object]) -> None:
        self.told = True
        # A parent that has gone wants no answer; the mount stands all the same.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, json.dumps(message).encode() + b"\n")
        os.close(self._descriptor)


def start(options: MountOptions) -> None:
    """Mount in the background; return when the mount answers.

    Raises DjafsError with the daemon's own message and exit status when it does not.
    """
    reading, writing = os.pipe()
    complaints = os.memfd_create("djafs-stderr", os.MFD_CLOEXEC)
    try:
        daemon = _spawn(options, writing, complaints)
        os.close(writing)
        try:
            _await_answer(options, daemon, reading, complaints)
        except BaseException:
            _stop(options, daemon)
            raise
    finally:
        os.close(reading)
        os.close(complaints)


def _spawn(options: MountOptions, status: int, complaints: int) -> subprocess.Popen[bytes]:
    # "/" as working directory also keeps python -m from importing what lies about in ours.
    return subprocess.Popen(
        [sys.executable, "-m", "djafs", "mount", f"--status-fd={status}", *options.arguments()],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
        pass_fds=[status],
        start_new_session=True,
    )


def _await_answer(
    options: MountOptions, daemon: subprocess.Popen[bytes], reading: int, complaints: int
) -> None:
    # No time limit: a store of millions of files may have a long log to replay.
    with open(reading, "rb", closefd=False) as pipe:
        line = pipe.readline()
    if not line.endswith(b"\n"):
        raise MountError(_last_words(daemon, complaints))
    said = json.loads(line)
    if said["status"] != 0:
        daemon.wait()
        error = DjafsError(said["message"])
        error.exit_status = said["status"]
        raise error
    answer = probe(os.path.join(options.mountpoint, "live"), ANSWER_SECONDS)
    if answer != 0:
        reason = "no answer" if answer is None else os.strerror(answer)
        raise MountError(f"{options.mountpoint} was mounted but does not answer: {reason}")


def _last_words(daemon: subprocess.Popen[bytes], complaints: int) -> str:
    """Say how a daemon ended that told nothing, with the last line it wrote to stderr."""
    status = daemon.wait()
    os.lseek(complaints, 0, os.SEEK_SET)
    with open(complaints, "rb", closefd=False) as written:
        lines = written.read().decode("utf-8", "replace").strip().splitlines()
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    why = f": {lines[-1].removeprefix('djafs: ')}" if lines else ""
    return f"the daemon {how} before it mounted{why}"


def _stop(options: MountOptions, daemon: subprocess.Popen[bytes]) -> None:
    """End a daemon that nobody will use, and leave no mount of its behind."""
    daemon.terminate()
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    mount = mount_at(options.mountpoint)
    ours = mount is not None and mount.is_djafs and mount.source == options.storage
    # While it answers there, it is another daemon's, and ours was refused as the second.
    if ours and probe(options.mountpoint, ANSWER_SECONDS) == errno.ENOTCONN:
        detach(options.mountpoint, lazily=True)


def _name_process(options: MountOptions) -> None:
    """Make ``ps`` and ``top`` show ``djafs`` instead of ``python3``."""
    from setproctitle import setproctitle, setthreadtitle  # noqa: PLC0415 (mounting only)

    title = f"djafs: {options.storage} on {options.mountpoint}"
    setproctitle(printable(title).encode("utf-8", "backslashreplace").decode())
    setthreadtitle("djafs")  # the name in /proc/PID/comm; threads inherit it
