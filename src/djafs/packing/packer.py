"""The daemon's side of packing: starts the packer, gives it the plan, takes its result."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, TypeVar

from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import PackingError
from djafs.packing import wire
from djafs.packing.plan import PackPlan, PackResult
from djafs.packing.survey import Reached

_POLL_MS = 200  # how often a run asks whether it is cancelled
_MOST_THREADS = 4
_PATIENCE = 5.0  # seconds for a packer that has closed its pipes to end by itself

Cancelled = Callable[[], bool]
_Answer = TypeVar("_Answer")


class PackingCancelledError(PackingError):
    """The caller, or the end of the daemon, stopped the packer; nothing was changed."""


def default_threads() -> int:
    """Return how many threads should compress: as many as there are processors, up to 4."""
    processors = len(os.sched_getaffinity(0))
    return min(processors, _MOST_THREADS) if processors > 1 else 0


def start(command: list[str], *, stdin: int, stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process of ours (``child``), which answers on its stdout (raises OSError).

    It can import what this one imports, wherever it is started.
    """
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return subprocess.Popen(
        [*command, str(os.getpid())],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        bufsize=0,
        cwd="/",
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # a terminal's Ctrl-C is for this process to handle
    )


class Packer:
    """Runs plans, one at a time. :meth:`kill` may be called from any thread."""

    def __init__(
        self,
        layout: Layout,
        *,
        host: Host | None = None,
        threads: int | None = None,
        command: list[str] | None = None,
    ) -> None:
        """Use ``threads`` threads to compress; ``command`` replaces the packer, for tests."""
        self._layout = layout
        self._host = host or Host()
        self._threads = default_threads() if threads is None else threads
        self._command = command or [sys.executable, "-m", "djafs.packing.worker"]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def run(self, plan: PackPlan, cancelled: Cancelled | None = None) -> PackResult:
        """Pack ``plan`` in a process of its own, and wait for it.

        The thread that calls must live until then: the kernel ends the packer with it.
        ``cancelled`` is asked some times a second. Raises PackingCancelledError if it says so
        or :meth:`kill` was called, PackingError if the packer fails or dies; no draft is left then.
        """
        try:
            return self._attend(
                self._command, lambda process: self._converse(process, plan, cancelled)
            )
        except BaseException:
            self._remove_draft(plan.archive)
            raise

    def survey(self) -> Reached:
        """Return, from a process of its own, which contents the index refers to.

        Raises as :meth:`run` does.
        """
        command = [sys.executable, "-m", "djafs.packing.survey", os.path.abspath(self._layout.root)]

        return Reached(self.ask(command))

    def protect(self, archive: int, percent: int, cancelled: Cancelled | None = None) -> int:
        """Make recovery data of an archive in a process of its own, and return its bytes.

        Raises as :meth:`run` does.
        """
        workspace = self._layout.parity_workspace()
        try:
            command = [sys.executable, "-m", "djafs.packing.parity_worker", self._layout.root]
            numbers = (archive, percent, self._threads)
            return int(self.ask([*command, *map(str, numbers), workspace], cancelled))
        finally:
            shutil.rmtree(workspace, ignore_errors=True)

    def ask(self, command: list[str], cancelled: Cancelled | None = None) -> Any:  # noqa: ANN401
        """Return the one thing that a process of ours answers (raises as :meth:`run` does)."""

        def read(process: subprocess.Popen[bytes]) -> Any:  # noqa: ANN401
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            kind, *fields = wire.read(_reader(process.stdout.fileno(), cancelled))
            if kind == "error":
                raise PackingError(str(fields[0]))
            return fields[0]

        return self._attend(command, read)

    def _attend(
        self, command: list[str], converse: Callable[[subprocess.Popen[bytes]], _Answer]
    ) -> _Answer:
        """Start a process, have ``converse`` speak with it, and see that it ends.

        The process is told this one's id last. Raises as :meth:`run` does.
        """
        with tempfile.TemporaryFile() as stderr:
            process = self._spawn(command, stderr)
            try:
                return converse(process)
            except BaseException as error:
                self._end(process, at_once=not isinstance(error, wire.WireError))
                if self._killed:
                    raise PackingCancelledError("packing was stopped") from None
                if isinstance(error, wire.WireError):
                    raise PackingError(obituary(process, stderr)) from None
                raise
            finally:
                self._end(process, at_once=False)

    def kill(self) -> None:
        """Stop the packer at once, and let no other begin. Does not wait for :meth:`run`."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def _spawn(self, command: list[str], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._killed:
                raise PackingCancelledError("packing was stopped")
            try:
                self._process = start(command, stdin=subprocess.PIPE, stderr=stderr)
            except OSError as error:
                raise PackingError(f"the packer cannot be started: {error.strerror}") from error
            return self._process

    def _converse(
        self, process: subprocess.Popen[bytes], plan: PackPlan, cancelled: Cancelled | None
    ) -> PackResult:
        root = os.path.abspath(self._layout.root)
        begin = wire.Begin(
            root, plan.archive, plan.level, plan.find_known, self._threads, os.getpid()
        )
        assert process.stdin is not None
        assert process.stdout is not None
        # A packer that fails early does not read on; what it has to say is in its answer.
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            for message in wire.plan_messages(plan, begin):
                _check(cancelled)
                _write_all(stdin.fileno(), message)
        try:
            return wire.read_result(_reader(process.stdout.fileno(), cancelled))
        except wire.ReportedError as reported:
            error = PackingError(f"packing failed: {reported.text}")
            error.errno = reported.code or error.errno
            raise error from None

    def _end(self, process: subprocess.Popen[bytes], *, at_once: bool) -> None:
        """Close the pipes and wait for the packer to end; make it end if it does not."""
        with self._lock:
            self._process = None
        if at_once:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _remove_draft(self, archive: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._host.unlink(self._layout.archive_draft(archive), "archive.unlink")


def _write_all(descriptor: int, message: bytes) -> None:
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _check(cancelled: Cancelled | None) -> None:
    if cancelled is not None and cancelled():
        raise PackingCancelledError("packing was cancelled")


def _reader(descriptor: int, cancelled: Cancelled | None) -> wire.Read:
    """Return a function that reads from a pipe, and stops when it is cancelled."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)

    def read(length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            while cancelled is not None and not poll.poll(_POLL_MS):
                _check(cancelled)
            more = os.read(descriptor, min(length - len(found), 1 << 20))
            if not more:
                break
            found += more
        return bytes(found)

    return read


def obituary(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> str:
    """Say in one line how a packer ended that gave no answer."""
    status = process.returncode
    stderr.seek(max(stderr.seek(0, os.SEEK_END) - 4096, 0))
    last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
    if status < 0:
        return f"the packer was killed by {signal.Signals(-status).name}"
    return f"the packer ended with status {status} without a result" + (last and f": {last}")
