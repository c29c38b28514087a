"""``--durable close``: close(2) returns when what was written is durable.

For queue subscribers that write a file, close it and then acknowledge the message. Closes that
come together share their syncs (Syncer.make_durable); one of a file that was only read waits for
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from djafs.fuse import AttributesReply, Created, Deferred, Request, SetAttributes
from djafs.mounting.handler import Commands, DjafsHandler
from djafs.mounting.pressure import Pressure
from djafs.store.store import Store

_MOST = 4096
"""Files remembered as changed before those that are durable meanwhile are forgotten."""


class DurableCloseHandler(DjafsHandler):
    """Answers FLUSH, which the kernel sends at every close, with a sync of that file's changes."""

    def __init__(
        self,
        store: Store,
        commands: Commands,
        mounted: Callable[[], None],
        pressure: Pressure,
    ) -> None:
        super().__init__(store, commands, mounted, pressure)
        self._changed: dict[int, int] = {}  # files that were changed, and the last record of that

    def _note(self, ino: int) -> None:
        changed = self._changed
        if len(changed) >= _MOST:
            durable = self._store.syncer.durable
            for done in [ino for ino, seq in changed.items() if seq <= durable]:
                del changed[done]
        changed[ino] = self._store.log.seq

    def flush(self, request: Request, handle: int) -> Deferred | None:  # noqa: D102
        syncer = self._store.syncer
        seq = self._changed.get(request.nodeid, 0)
        if seq <= syncer.durable:
            return None
        return Deferred(lambda: syncer.sync_for(seq), shared=True)

    def create(  # noqa: D102
        self, request: Request, name: bytes, flags: int, mode: int, umask: int, open_flags: int
    ) -> Created:
        created = super().create(request, name, flags, mode, umask, open_flags)
        self._note(created.entry.nodeid)
        return created

    def setattr(self, request: Request, changes: SetAttributes) -> AttributesReply:  # noqa: D102
        reply = super().setattr(request, changes)
        self._note(request.nodeid)
        return reply

    def write(  # noqa: D102
        self,
        request: Request,
        handle: int,
        offset: int,
        data: memoryview,
        write_flags: int,
        flags: int,
    ) -> int | Deferred:
        written = super().write(request, handle, offset, data, write_flags, flags)
        self._note(request.nodeid)
        return written

    def fallocate(  # noqa: D102
        self, request: Request, handle: int, offset: int, length: int, mode: int
    ) -> None:
        super().fallocate(request, handle, offset, length, mode)
        self._note(request.nodeid)

    def copy_file_range(  # noqa: D102
        self,
        request: Request,
        handle: int,
        offset: int,
        nodeid_out: int,
        handle_out: int,
        offset_out: int,
        length: int,
        flags: int,
    ) -> int:
        copied = super().copy_file_range(
            request, handle, offset, nodeid_out, handle_out, offset_out, length, flags
        )
        self._note(nodeid_out)
        return copied
