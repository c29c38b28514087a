"""What is said when a request meets damage: which path is hit, once for each."""

from __future__ import annotations

import logging
import threading
from itertools import islice
from queue import SimpleQueue

from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.errors import DamageError, DjafsError
from djafs.fuse import Request
from djafs.fuse.server import log_error
from djafs.model import Calendar
from djafs.mounting.handler import DjafsHandler
from djafs.mounting.past import LATEST
from djafs.store.store import Store
from djafs.tools.validation.paths import Paths

MOST = 10_000
"""Damaged places that are remembered, so that nothing is said of them again."""

NAMES = 8
"""Names of one file that are said."""

_log = logging.getLogger("djafs")


class DamageReporter:
    """Logs what failed in a request, for the server; a thread of its own looks the path up.

    The thread starts with the first damage.
    """

    def __init__(self, store: Store, handler: DjafsHandler) -> None:
        self._store = store
        self._handler = handler
        self._said: set[tuple[int, int, str]] = set()
        self._waiting: SimpleQueue[tuple[int, int, str] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __call__(self, error: Exception, request: Request) -> None:
        """Take a failed request; anything but damage is logged as it is."""
        if sqlite.is_damage(error):
            self._store.index_failed(error)
            what = f"{self._store.layout.index} is damaged"
        elif isinstance(error, DamageError):
            what = str(error)
        else:
            log_error(error, request)
            return
        day, ino = self._handler.place_of(request.nodeid)
        if (day, ino, what) in self._said or len(self._said) >= MOST:
            return
        self._said.add((day, ino, what))
        if self._thread is None:
            self._thread = threading.Thread(target=self._tell, name="djafs-damage")
            self._thread.start()
        self._waiting.put((day, ino, what))

    def close(self) -> None:
        """Say what there still is to say."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _tell(self) -> None:
        while (found := self._waiting.get()) is not None:
            day, ino, what = found
            try:
                self._store.syncer.catch_up()
                path = self._path(day, ino)
            except (DjafsError, OSError, sqlite.Error):
                path = f"inode {ino}"
            _log.error("%s: %s", path, what)

    def _path(self, day: int, ino: int) -> str:
        """Return the paths of an inode in the mount: of a day, or now."""
        index = Index.open_read_only(self._store.layout)
        try:
            paths = Paths(index, Calendar(self._store.identity.zone()))
            if day == LATEST:
                names = paths.live(ino)
            else:
                names = (
                    paths.past_entry(span.parent, span.name, day)
                    for span in paths.spans(ino)
                    if span.begin <= day < span.end
                )
            return ", ".join(islice(names, NAMES)) or f"inode {ino}, which has no name"
        finally:
            index.close()
