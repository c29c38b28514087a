"""The files of a log that is being written: which is open, and what is not durable of them yet."""

from __future__ import annotations

import os
import threading

from djafs.disk.host import Host


class SegmentFiles:
    """The open segment of a log, and those that are full until they are synced.

    One thread at a time begins and ends segments; any may sync. Held by the log's writer, which
    opens, names and fills the files.
    """

    def __init__(
        self, host: Host, directory: str, sync: str, sync_directory: str, descriptor: int = -1
    ) -> None:
        """Take the segments in ``directory``; ``descriptor`` is of the one to go on with.

        ``sync`` and ``sync_directory`` are the labels of these steps (docs/ordering.md).
        """
        self._host = host
        self._directory = directory
        self._labels = sync, sync_directory
        self.descriptor = descriptor
        """Of the open segment, -1 when there is none."""
        self._unsynced: list[int] = []  # segments that are full
        self._named = False  # a segment was begun whose name is not durable yet
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # of syncs: none closes what another one is at

    def begin(self, descriptor: int) -> None:
        """Go on with a segment that was created; the one before is full."""
        with self._lock:
            if self.descriptor >= 0:
                self._unsynced.append(self.descriptor)
            self.descriptor, self._named = descriptor, True

    def end(self) -> None:
        """Write no more to the open segment, and have none."""
        with self._lock:
            self._unsynced.append(self.descriptor)
            self.descriptor = -1

    def check(self, path: str, size: int) -> str | None:
        """Return what somebody else has done to the open segment, None if nothing.

        What is written to a file that has no name any more, or is cut off, is lost.
        """
        with self._lock:
            if self.descriptor < 0:
                return None
            mine = os.fstat(self.descriptor)
        try:
            named = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return f"{path} was removed while it was written"
        except OSError:
            return None
        if (named.st_dev, named.st_ino) != (mine.st_dev, mine.st_ino):
            return f"{path} was replaced while it was written"
        return f"{path} was cut off while it was written" if mine.st_size < size else None

    def write_out(self, label: str) -> None:
        """Begin to write the open segment to the disk (raises OSError)."""
        with self._lock:
            current = self.descriptor
        if current >= 0:
            self._host.write_out(current, label)

    def sync(self) -> None:
        """Make durable all that was written before the call: content, then names.

        Raises OSError, and what failed is never tried again: the kernel may have dropped it.
        """
        sync, sync_directory = self._labels
        with self._turn:
            with self._lock:
                full, self._unsynced = self._unsynced, []
                current, named, self._named = self.descriptor, self._named, False
            try:
                for descriptor in full:
                    self._host.sync(descriptor, sync)
                if current >= 0:
                    self._host.sync(current, sync)
                if named:
                    self._host.sync_directory(self._directory, sync_directory)
            finally:
                for descriptor in full:
                    self._host.close(descriptor)

    def close(self) -> None:
        """Sync, and close the open segment (raises OSError)."""
        self.sync()
        with self._lock:
            if self.descriptor >= 0:
                self._host.close(self.descriptor)
                self.descriptor = -1
