"""Recovery data for every archive of a store that has parity (docs/parity.md).

It is derived data: what lacks it gets it, whenever this looks, whether it was packed, merged or
converted a moment ago, or before parity was turned on. docs/ordering.md says why stopping at any
step is harmless.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass

from djafs.disk import parity
from djafs.disk.index import Index
from djafs.disk.layout import numbers
from djafs.errors import DjafsError, ParityError
from djafs.packing.packer import Cancelled, Packer, PackingCancelledError
from djafs.store.store import Store

RETRY = 3600.0
"""Seconds after which making what could not be made is tried again."""

_log = logging.getLogger("djafs.packing")


@dataclass
class Kept:
    """What was made."""

    archives: int = 0
    bytes: int = 0
    failed: int = 0
    """Archives for which it could not be made: the log says why."""


class ParityKeeper:
    """Makes what is missing. One run at a time; any thread may ask for one."""

    def __init__(self, store: Store, packer: Packer) -> None:
        """``packer`` is this keeper's own: it may run beside packing."""
        self._store = store
        self._packer = packer
        self._percent = store.identity.parity
        self._turn = threading.Lock()
        self._failed: dict[int, float] = {}  # archives, and when to try again
        if self._percent:
            try:
                parity.program()
            except ParityError as error:
                self._percent = 0
                _log.error("%s: no recovery data is made: %s", store.layout.root, error)

    def close(self) -> None:
        """Stop a run that is under way, and wait for its end."""
        self._packer.kill()
        with self._turn:
            pass

    def keep(self, cancelled: Cancelled | None = None, *, retry: bool = False) -> Kept:
        """Make recovery data for all archives that have none; say what was made.

        What cannot be made is logged, and left alone for an hour, but with ``retry``. Raises
        PackingCancelledError when ``cancelled`` says so or the keeper is closed.
        """
        kept = Kept()
        with self._turn:
            if retry:
                self._failed.clear()
            for number in self._lacking():
                if cancelled is not None and cancelled():
                    raise PackingCancelledError("making recovery data was cancelled")
                try:
                    made = self._make(number, cancelled)
                except PackingCancelledError:
                    raise
                except (DjafsError, OSError) as error:
                    if self._is_known(number):
                        self._failed[number] = time.monotonic() + RETRY
                        kept.failed += 1
                        _log.error("no recovery data for archive %d: %s", number, error)
                    continue
                if self._is_known(number):
                    kept.archives += 1
                    kept.bytes += made
                else:  # it was compacted meanwhile
                    self._remove(number)
        return kept

    def _make(self, number: int, cancelled: Cancelled | None) -> int:
        layout, space = self._store.layout, self._store.space
        block, count = parity.blocks_of(os.path.getsize(layout.archive(number)), self._percent)
        if space.of_disk()[1] - space.margin < 2 * block * count:
            raise ParityError("the disk is full")
        return self._packer.protect(number, self._percent, cancelled)

    def _lacking(self) -> list[int]:
        """Return the archives that should have recovery data and have none."""
        if not self._percent:
            return []
        layout = self._store.layout
        known = self._ask("SELECT archive FROM archive")
        present = known.intersection(numbers(layout.archives, "tar.zst"))
        now = time.monotonic()
        failed = {number for number, again in self._failed.items() if now < again}
        return sorted(present.difference(numbers(layout.archives, "tar.zst.par2"), failed))

    def _is_known(self, number: int) -> bool:
        return number in self._ask("SELECT archive FROM archive WHERE archive = ?", number)

    def _ask(self, query: str, *bindings: int) -> set[int]:
        """Return the archives that the index names, whichever index there is by now."""
        index = Index.open_read_only(self._store.layout)
        try:
            return {number for (number,) in index.connection.execute(query, bindings)}
        finally:
            index.close()

    def _remove(self, number: int) -> None:
        layout, host = self._store.layout, self._store.host
        with contextlib.suppress(FileNotFoundError):
            host.unlink(layout.archive_parity(number), "parity.unlink")
            host.sync_directory(layout.archives, "parity.sync-directory")
