"""The daemon: a store, the server that answers for it, and the threads that keep it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from djafs.disk import sqlite
from djafs.disk.host import Host
from djafs.errors import DjafsError, MountError
from djafs.fuse import DEFAULT_FLAGS, Config, FuseError, InitFlag, Server, mount
from djafs.mounting import control
from djafs.mounting.damage import DamageReporter
from djafs.mounting.durable import DurableCloseHandler
from djafs.mounting.handler import DjafsHandler
from djafs.mounting.memory import give_back, share_memory
from djafs.mounting.options import MountOptions
from djafs.mounting.pressure import Pressure
from djafs.mounting.repairing import carry_out
from djafs.packing.packer import Packer
from djafs.store.collector import Collector
from djafs.store.log_keeper import LogKeeper
from djafs.store.parity_keeper import ParityKeeper
from djafs.store.store import Store

SYNC_INTERVAL = 1.0
"""Seconds between two background syncs: what a power cut may take of what was not synced."""

AT_REST = 1.0
"""Seconds without a change after which a packing that was asked for takes a file along."""

PATIENCE = 3600.0
"""Seconds that small changes of large archived contents stay hot, while there is room for them."""

LOG_INTERVAL = 5.0
"""Seconds between two looks at the lookup log, for segments to close."""

DESCRIPTORS = 4096
"""Open files that are enough for everything that is kept open."""

FEWEST_DESCRIPTORS = 64
"""Open files without which it would not work; what is kept open adapts to fewer than the above."""

_THREADS = 16
"""Requests that may wait for the disk at once, beside those that share a sync."""

_FLAGS = DEFAULT_FLAGS | InitFlag.HANDLE_KILLPRIV_V2 | InitFlag.EXPORT_SUPPORT

_log = logging.getLogger("djafs")


def serve(
    options: MountOptions,
    ready: Callable[[], None],
    *,
    host: Host | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Open the store, mount it, call ``ready`` once the kernel is answered, serve to the end.

    The end is an unmount, by whomever; SIGTERM and SIGINT ask for one. ``host`` and ``clock``
    are for tests. Raises DjafsError.
    """
    raise_descriptor_limit()
    share_memory()
    # Threads that write the index must not keep the answering thread waiting for long.
    sys.setswitchinterval(0.0005)
    try:
        store = Store.open(
            options.storage,
            create=True,
            time_zone=options.time_zone or "UTC",
            host=host,
            clock=clock,
            parity=options.parity,
        )
    except OSError as error:
        raise MountError(f"{options.storage} cannot be used as a store: {error}") from error
    daemon = Daemon(store, options)
    try:
        daemon.serve(ready)
    finally:
        daemon.close()


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may allow itself, up to 4096.

    Raises MountError when they are too few to go on with.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEWEST_DESCRIPTORS:
        raise MountError(
            f"a process may open no more than {hard} files here, djafs needs {FEWEST_DESCRIPTORS}: "
            "raise the limit (ulimit -n)"
        )
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Daemon:
    """Serves one store on one mountpoint."""

    def __init__(self, store: Store, options: MountOptions) -> None:
        self._store = store
        self._options = options
        self._collector = Collector(store, Packer(store.layout, host=store.host), options.level)
        self._log_keeper = LogKeeper(store)
        self._pressure = Pressure(options.hot_cache_size)
        self._parity = ParityKeeper(store, Packer(store.layout, host=store.host))
        self._stopping = threading.Event()
        self._pack = threading.Event()
        self._packed = threading.Event()
        self._said: dict[str, str] = {}  # the last failure of each kind that was logged
        self._threads = [
            threading.Thread(target=self._keep, name="djafs-sync"),
            threading.Thread(target=self._collect_often, name="djafs-pack"),
            threading.Thread(target=self._keep_log, name="djafs-log"),
            threading.Thread(target=self._keep_parity, name="djafs-parity"),
        ]
        self._report_recovery()

    def serve(self, ready: Callable[[], None]) -> None:
        """Mount, and answer until the mount ends."""
        handler_of = DurableCloseHandler if self._options.durable_close else DjafsHandler
        commands = {
            control.GC: lambda _: self._collect_now(compact=False),
            control.COMPACT: lambda _: self._collect_now(compact=True),
            control.REPAIR: self._repair,
        }
        handler = handler_of(self._store, commands, ready, self._pressure)
        try:
            descriptor = mount(self._options.mountpoint, self._mount_options())
        except FuseError as error:
            raise MountError(str(error)) from error
        reporter = DamageReporter(self._store, handler)
        server = Server(
            descriptor,
            handler,
            Config(flags=_FLAGS, deferred_threads=_THREADS),
            guard=self._store.guard,
            on_error=reporter,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._unmount)
        for thread in self._threads:
            thread.start()
        try:
            server.serve()
        except FuseError as error:
            raise MountError(str(error)) from error
        finally:
            reporter.close()

    def close(self) -> None:
        """Stop packing, and leave the store clean and unlocked."""
        self._store.lock.say("closing")
        self._stopping.set()
        self._pack.set()
        self._store.syncer.wake.set()
        self._packed.set()
        self._collector.close()
        self._log_keeper.close()
        self._parity.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._store.close()

    def _mount_options(self) -> list[str]:
        chosen = [
            f"fsname={self._options.storage}",
            "subtype=djafs",
            "default_permissions",
            *self._options.kernel_flags,
        ]
        return [*chosen, "allow_other"] if self._options.allow_other else chosen

    def _unmount(self, number: int, frame: object) -> None:
        # By a process of its own: unmounting waits for answers that this thread has to give.
        subprocess.Popen(
            ["fusermount3", "-u", "-z", "--", self._options.mountpoint],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _report_recovery(self) -> None:
        recovered = self._store.recovered
        if recovered.rebuilt:
            _log.warning("the index was rebuilt from the lookup log: %s", recovered.rebuilt)
        if recovered.cut:
            _log.warning("cut off what was never durable: %s", recovered.cut)

    # Threads

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Log what fails, but not the same again and again; no thread ends with it."""
        try:
            yield
        except Exception as error:
            if sqlite.is_damage(error):
                self._store.index_failed(error)
            if self._stopping.is_set():
                return
            if self._said.get(what) != str(error):
                expected = isinstance(error, (DjafsError, OSError, sqlite.Error))
                where = self._store.layout.root
                _log.error("%s: %s: %s", where, what, error, exc_info=None if expected else error)
            self._said[what] = str(error)
            self._stopping.wait(SYNC_INTERVAL)
        else:
            self._said.pop(what, None)

    def _keep(self) -> None:
        """Sync, and bring the index up to date, about once a second."""
        syncer = self._store.syncer
        while not self._stopping.is_set():
            syncer.wake.wait(SYNC_INTERVAL)
            syncer.wake.clear()
            with self._telling("not everything is on disk"):
                if syncer.behind() and syncer.failure is None:
                    syncer.flush()
            with self._telling("the open files cannot be looked at"):
                self._store.check_open_segments()
            with self._telling("there is no space in reserve"):
                self._store.space.keep()
                self._store.space.room = 0  # others may have filled the disk
            if self._store.hot.size > self._pressure.due:
                self._pack.set()

    def _collect_often(self) -> None:
        """Pack whenever the interval has passed or the hot cache is full."""
        while not self._stopping.is_set():
            self._pack.wait(self._options.gc_interval)
            self._pack.clear()
            if self._stopping.is_set():
                return
            with self._telling("packing failed"):
                self._collect(self._settle())
            self._packed.set()

    def _settle(self) -> float:
        """Return for how many seconds content must not have changed to be packed."""
        hot = self._store.hot.size
        if hot <= self._pressure.due:
            return self._options.settle
        # When writers are held up, what goes on changing is packed as well: it would keep the
        # segments that it began in for ever.
        return min(self._options.settle, AT_REST if hot <= self._pressure.begins else 0.0)

    def _collect(self, settle: float) -> None:
        """Pack, and note what of the hot cache packing cannot make smaller."""
        store = self._store
        with store.guard:
            begun = store.hot.segment
            patience = PATIENCE if store.hot.size <= self._pressure.due else 0.0
        try:
            self._collector.collect(settle, patience)
        except Exception:
            self._pressure.leave(store.hot.size)
            raise
        give_back()
        with store.guard:
            left = store.hot.size_below(begun)
        # What was to settle first may be packed yet.
        self._pressure.leave(left if settle == 0 else min(left, self._pressure.stuck))

    def _keep_log(self) -> None:
        """Compress what is full of the lookup log, and have checkpoints made."""
        while not self._stopping.wait(LOG_INTERVAL):
            with self._telling("the log stays as it is"):
                self._log_keeper.keep()

    def _keep_parity(self) -> None:
        """Make recovery data for archives that lack it, beside everything else."""
        while not self._stopping.is_set():
            with self._telling("recovery data is not complete"):
                self._parity.keep()
            self._packed.wait(self._options.gc_interval)
            self._packed.clear()

    def _collect_now(self, compact: bool) -> dict[str, Any]:
        """Pack what has settled, and compact it all if asked to, for ``djafs gc``."""
        settle = min(self._options.settle, AT_REST)
        self._stopping.wait(settle)
        try:
            done = self._collector.collect(settle)
            if compact:
                done = done.joined(self._collector.compact())
                self._log_keeper.checkpoint()
            kept = self._parity.keep(retry=True)
            done.protected, done.parity_bytes = kept.archives, kept.bytes
            done.unprotected = kept.failed
            return dataclasses.asdict(done)
        except (DjafsError, OSError, sqlite.Error) as error:
            return {"error": f"{self._store.layout.root}: packing failed: {error}"}

    def _repair(self, request: bytes) -> dict[str, Any]:
        """Commit what ``djafs validate -r`` has made ready."""
        try:
            carry_out(self._store, self._collector, self._log_keeper, request)
            return {}
        except (DjafsError, OSError, sqlite.Error) as error:
            return {"error": f"{self._store.layout.root}: not repaired: {error}"}
