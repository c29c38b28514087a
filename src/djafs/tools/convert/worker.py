"""The other process of a conversion: ``python -m djafs.tools.convert.worker``.

It reads files of the source, and writes archives up to the point where they have their names
(``feed`` is the other side). Requests come as datagrams on the socket that is its stdin, the
first one for a directory with its open descriptor; answers go to stdout, in order.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import traceback
from concurrent.futures import Future
from typing import Any

import msgspec

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.packing import child, wire
from djafs.tools.convert.contents import Contents, Draft, WriteError
from djafs.tools.convert.feed import COLLECT, Begin
from djafs.tools.convert.reading import Reader
from djafs.tools.convert.supply import NewContent, Supply

NAME = "djafs-convert"
"""What ps(1) shows."""

MOST = 1 << 20
"""Bytes of a request at most; a socket takes fewer."""


class Answers:
    """Tells the other process what happens, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.asked = False  # the archive that is sealed next was asked to be

    def send(self, kind: str, *fields: object) -> None:
        """Send one message."""
        rest = memoryview(wire.encode(kind, *fields))
        with self._lock:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def content(self, content: NewContent) -> None:
        """Tell of a new part of a file."""
        self.send("content", *content)

    def sealed(self, draft: Draft) -> None:
        """Tell of an archive's end, and later of its name."""
        self.send("sealed", self.asked)
        self.asked = False
        draft.done.add_done_callback(self._named)

    def _named(self, done: Future[ArchiveMetadata | None]) -> None:
        error = done.exception()
        if error is None:
            self.send("named", done.result())
        else:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Tell why nothing more can be stored."""
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        self.send("failed", getattr(error, "errno", None) or 0, text)


class Requests:
    """What the other process asks for."""

    def __init__(self, source: socket.socket) -> None:
        self._socket = source
        self._buffer = bytearray(MOST)

    def receive(self) -> tuple[str, list[Any], int | None] | None:
        """Return a request, its fields and the descriptor that came with it; None at the end."""
        room = socket.CMSG_SPACE(4)
        size, rights, _, _ = self._socket.recvmsg_into([self._buffer], room)
        if not size:
            return None
        kind, *fields = msgspec.msgpack.decode(memoryview(self._buffer)[:size])
        descriptor = int.from_bytes(rights[0][2], sys.byteorder) if rights else None
        return kind, fields, descriptor


def serve(requests: Requests, answers: Answers) -> None:
    """Answer requests until there are no more, or nothing more can be stored."""
    first = requests.receive()
    if first is None:
        return
    begin = Begin(*first[1])
    numbers = (begin.next_content, begin.next_archive)
    layout = Layout(begin.root)
    contents = Contents(Host(), layout, begin.level, begin.threads, numbers)
    reader = Reader(begin.readers)
    supply = Supply(contents, reader, answers)
    directory, path = -1, b""
    try:
        while (request := requests.receive()) is not None:
            kind, fields, descriptor = request
            if kind == "files":
                answers.send("files", supply.files(directory, path, fields[0]))
            elif kind == "directory":
                assert descriptor is not None
                if directory >= 0:
                    os.close(directory)
                directory, path = descriptor, fields[0]
            elif kind == "seal":
                answers.asked = True
                supply.seal()
            else:
                supply.settle()
    except WriteError as error:
        answers.fail(error.cause)
    finally:
        reader.close()
        contents.close()


def main() -> int:
    """Run as the child of a conversion, whose process id is the only argument."""
    child.begin(0, NAME, nice=0)
    gc.set_threshold(COLLECT)
    answers = Answers(os.dup(1))
    os.dup2(2, 1)  # whatever prints goes to stderr; stdout carries nothing but messages
    try:
        serve(Requests(socket.socket(fileno=0)), answers)
    except BrokenPipeError:
        return 1  # the other process wants no more
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the other process waits, and taking the interpreter apart takes a while
