"""A mount whose daemon is a child of the test, and which cannot hang the test."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from djafs.mounting.mountpoints import mount_at
from rig.command import DJAFS, djafs_ok
from rig.waiting import wait_until

WATCHDOG_SECONDS = 100.0
"""How long a mount may stand; less than the time limit of a test."""

BUSY_SECONDS = 5.0
"""How long others may be in a mount that is to be unmounted."""

END_SECONDS = 30.0
"""How long a daemon may take to close its store after the unmount."""


class Mount:
    """The store ``storage`` mounted on ``mountpoint`` while the context lasts.

    The daemon runs as the child of a background mount does, with its log in ``log``. When it
    has not ended after ``seconds``, a watchdog kills it and takes the mount away: whatever
    hangs on the mount then fails, and so does the test.
    """

    def __init__(
        self,
        storage: Path,
        mountpoint: Path,
        options: Sequence[str] = (),
        seconds: float = WATCHDOG_SECONDS,
    ) -> None:
        self.storage = storage
        self.mountpoint = mountpoint
        self.options = tuple(options)
        self.log = mountpoint.with_name(mountpoint.name + ".log")
        self.program = DJAFS
        self.environment: dict[str, str] = {}  # of the daemon, beside the test's own
        self._seconds = seconds
        self._daemon: subprocess.Popen[bytes] | None = None
        self._watchdog: threading.Timer | None = None
        self._hung = False

    @property
    def live(self) -> Path:
        """Where the current documents are."""
        return self.mountpoint / "live"

    @property
    def snapshots(self) -> Path:
        """Where the days are."""
        return self.mountpoint / "snapshots"

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self._daemon is not None, "not mounted"
        return self._daemon.pid

    def __enter__(self) -> Mount:
        self.mountpoint.mkdir(exist_ok=True)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._daemon is not None:
                self.unmount()
        except Exception:
            if error is None:
                raise
        finally:
            self._force()
        assert not self._hung, f"the mount hung, and was killed after {self._seconds:.0f} s"

    def start(self, *options: str) -> None:
        """Mount, with ``options`` beside those given at first; return when the mount answers."""
        assert self._daemon is None, "already mounted"
        reading, writing = os.pipe()
        with open(self.log, "ab") as log, open(reading, "rb") as pipe:
            arguments = ["mount", f"--status-fd={writing}", f"--log-file={self.log}"]
            self._daemon = subprocess.Popen(
                [*self.program, *arguments, *self.options, *options, self.storage, self.mountpoint],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writing],
                start_new_session=True,
            )
            os.close(writing)
            self._watchdog = threading.Timer(self._seconds, self._bite)
            self._watchdog.daemon = True
            self._watchdog.start()
            said = json.loads(pipe.readline() or '{"status": -1, "message": "died"}')
        if said["status"] != 0:
            self._force()
            raise AssertionError(f"not mounted: {said['message']}\n{self.messages()}")
        os.stat(self.live)

    def unmount(self) -> None:
        """Unmount as ``fusermount3 -u`` does; return when the daemon has ended, in good order.

        Whoever looks at the mount from outside (a backup, a monitor, ``fuser``) makes it busy for
        a moment; who stays fails the test.
        """
        assert self._daemon is not None, "not mounted"
        wait_until(self._is_detached, f"{self.mountpoint} not to be busy", BUSY_SECONDS)
        self.wait_for_end()

    def _is_detached(self) -> bool:
        """Unmount, and return True, unless the mount is busy."""
        done = subprocess.run(
            ["fusermount3", "-u", self.mountpoint],
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            capture_output=True,
            text=True,
            timeout=END_SECONDS,
        )
        if done.returncode != 0 and "busy" in done.stderr:
            return False
        assert done.returncode == 0, f"not unmounted: {done.stderr}"
        return True

    def wait_for_end(self) -> None:
        """Return when the daemon has ended; it must have unlocked the store and exited with 0."""
        assert self._daemon is not None, "not mounted"
        status = self._daemon.wait(END_SECONDS)
        self._forget()
        assert status == 0, f"the daemon ended with {status}\n{self.messages()}"
        assert_unlocked(self.storage)

    def remount(self, *options: str) -> None:
        """Unmount, if mounted, and mount again."""
        if self._daemon is not None:
            self.unmount()
        self.start(*options)

    def kill9(self) -> None:
        """Kill the daemon without warning; its dead mount stays, for the next start to clear."""
        assert self._daemon is not None, "not mounted"
        self._daemon.kill()
        self._daemon.wait()
        self._forget()

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        os.kill(self.pid, number)

    def gc(self) -> dict[str, float]:
        """Pack all that has settled, and return what ``djafs gc --json`` says of it.

        In another process: this one must stay able to run its watchdog.
        """
        done: dict[str, float] = json.loads(djafs_ok("gc", "--json", self.mountpoint))
        return done

    def messages(self) -> str:
        """Return what the daemon has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _bite(self) -> None:
        self._hung = True
        self._force()

    def _force(self) -> None:
        """Leave neither daemon nor mount, whatever state they are in."""
        daemon = self._daemon
        if daemon is not None:
            daemon.kill()
        while mount_at(os.path.realpath(self.mountpoint.parent) + "/" + self.mountpoint.name):
            done = subprocess.run(
                ["fusermount3", "-uz", self.mountpoint], check=False, capture_output=True
            )
            if done.returncode != 0:
                break
        if daemon is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(END_SECONDS)
        self._forget()

    def _forget(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._daemon = self._watchdog = None


def assert_unlocked(storage: Path) -> None:
    """Assert that no process holds the store."""
    with open(storage / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
