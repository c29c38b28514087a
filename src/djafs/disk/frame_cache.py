"""Inflated frames kept in memory, up to a fixed number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

FrameKey = tuple[int, int]
"""Archive number, frame number."""

OVERHEAD = 256
"""Bytes counted for a frame beside its content."""


class FrameCache:
    """Frames by archive and number; the least recently used go first. Safe for many threads.

    Two threads that want the same frame at once inflate it once: the second waits for the first.
    """

    def __init__(self, budget: int = 64 << 20) -> None:
        """Keep at most ``budget`` bytes; 0 keeps nothing."""
        self.budget = budget
        self._lock = threading.Lock()
        self._frames: OrderedDict[FrameKey, bytes] = OrderedDict()
        self._size = 0  # sum over _frames of length + OVERHEAD; <= budget outside of the lock
        self._coming: dict[FrameKey, Future[bytes]] = {}

    @property
    def size(self) -> int:
        """Bytes held now, overhead included."""
        return self._size

    def get(self, key: FrameKey) -> bytes | None:
        """Return a frame if it is here, at once."""
        with self._lock:
            frame = self._frames.get(key)
            if frame is not None:
                self._frames.move_to_end(key)
            return frame

    def load(self, key: FrameKey, inflate: Callable[[], bytes]) -> bytes:
        """Return a frame, calling ``inflate`` for it (without the lock) if it is not here.

        What ``inflate`` raises reaches every thread that waits for this frame, and is not kept.
        """
        with self._lock:
            frame = self._frames.get(key)
            if frame is not None:
                self._frames.move_to_end(key)
                return frame
            coming = self._coming.get(key)
            mine = coming is None
            if coming is None:
                coming = self._coming[key] = Future()
        if mine:
            self._fulfil(key, coming, inflate)
        return coming.result()

    def _fulfil(self, key: FrameKey, coming: Future[bytes], inflate: Callable[[], bytes]) -> None:
        try:
            frame = inflate()
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            coming.set_exception(error)
            return
        with self._lock:
            del self._coming[key]
        self.keep(key, frame)
        coming.set_result(frame)

    def keep(self, key: FrameKey, frame: bytes) -> None:
        """Keep a frame that was inflated elsewhere, unless it is here already."""
        with self._lock:
            if key not in self._frames:
                self._add(key, frame)

    def _add(self, key: FrameKey, frame: bytes) -> None:
        if len(frame) + OVERHEAD > self.budget:
            return
        self._frames[key] = frame
        self._size += len(frame) + OVERHEAD
        while self._size > self.budget:
            _, oldest = self._frames.popitem(last=False)
            self._size -= len(oldest) + OVERHEAD

    def forget(self, archive: int) -> None:
        """Drop all frames of an archive that is gone."""
        with self._lock:
            for key in [key for key in self._frames if key[0] == archive]:
                self._size -= len(self._frames.pop(key)) + OVERHEAD
