"""A kernel that is no kernel: speaks the other side of the protocol, over a socket pair.

A ``SOCK_SEQPACKET`` socket keeps messages apart as ``/dev/fuse`` does; closing the kernel's end
looks to the server like an unmount.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from djafs.fuse import Config, Handler, InitFlag, Request, Server, wire
from djafs.fuse.wire import Opcode

#: Seconds after which a reply that does not come fails the test.
PATIENCE = 20.0
EVERY_FLAG = (1 << 43) - 1 & ~(1 << 31)


class Answer(NamedTuple):
    """A reply, or, with ``unique`` 0, a notification."""

    unique: int
    error: int  # errno, 0 for success; of a notification its negated code
    body: bytes


class FakeKernel:
    """One mount, as the kernel sees it."""

    def __init__(
        self, handler: Handler, config: Config | None, guard: AbstractContextManager[Any] | None
    ) -> None:
        self._end, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._end.settimeout(PATIENCE)
        self._last_unique = 0
        self.server = Server(
            theirs.detach(), handler, config, guard=guard, on_error=self._note_error
        )
        #: What was reported to ``on_error``: exceptions, and the opcodes of their requests.
        self.errors: list[tuple[Exception, int]] = []

    def send_raw(self, message: bytes) -> None:
        """Send any bytes at all."""
        self._end.send(message)

    def send(
        self,
        opcode: int,
        body: bytes = b"",
        *,
        nodeid: int = wire.ROOT_NODE,
        uid: int = 1000,
        gid: int = 100,
        pid: int = 4242,
    ) -> int:
        """Send a request and return its unique number."""
        self._last_unique += 2
        header = wire.REQUEST_HEADER.pack(
            wire.REQUEST_HEADER.size + len(body),
            opcode,
            self._last_unique,
            nodeid,
            uid,
            gid,
            pid,
            0,
            0,
        )
        self._end.send(header + body)
        return self._last_unique

    def receive(self) -> Answer:
        """Return the next message of the server."""
        message = self._end.recv(1 << 21)
        length, error, unique = wire.REPLY_HEADER.unpack_from(message)
        if length != len(message):
            raise AssertionError(f"a message of {len(message)} bytes says {length}")
        return Answer(unique, -error, message[wire.REPLY_HEADER.size :])

    def call(self, opcode: int, body: bytes = b"", *, nodeid: int = wire.ROOT_NODE) -> Answer:
        """Send a request and return its reply, which must come next."""
        unique = self.send(opcode, body, nodeid=nodeid)
        answer = self.receive()
        if answer.unique != unique:
            raise AssertionError(f"{answer} is not the reply to {unique}")
        return answer

    def init(
        self,
        *,
        major: int = wire.MAJOR,
        minor: int = wire.NEWEST_MINOR,
        max_readahead: int = 1 << 17,
        offered: int = EVERY_FLAG,
    ) -> Answer:
        """Send INIT as a Linux of that ABI would, and return the reply."""
        body = wire.INIT_IN.pack(major, minor, max_readahead, offered & 0xFFFFFFFF)
        if offered & InitFlag.INIT_EXT:
            body += wire.INIT_IN_FLAGS2.pack(offered >> 32) + bytes(44)
        return self.call(Opcode.INIT, body)

    def unmount(self) -> None:
        """End the connection."""
        self._end.close()

    def _note_error(self, error: Exception, request: Request) -> None:
        self.errors.append((error, request.opcode))


@contextmanager
def serving(
    handler: Handler,
    config: Config | None = None,
    *,
    guard: AbstractContextManager[Any] | None = None,
    init: bool = True,
) -> Iterator[FakeKernel]:
    """Serve ``handler`` on a thread of its own, to a kernel that the caller plays.

    What the server raises is raised on leaving.
    """
    kernel = FakeKernel(handler, config, guard)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            kernel.server.serve()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        if init:
            kernel.init()
        yield kernel
    finally:
        kernel.unmount()
        thread.join(PATIENCE)
    if thread.is_alive():
        raise AssertionError("the server did not end")
    if raised:
        raise raised[0]
