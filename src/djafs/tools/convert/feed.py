"""Where files are read and packed: here, or in a process beside this one.

Reading, hashing and compressing is about half of the work, and logging and indexing the other
half; two processes do them at the same time.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import tempfile
from collections import deque
from fcntl import fcntl
from typing import NamedTuple, Protocol

import msgspec

from djafs.disk.archive_metadata import ArchiveMetadata
from djafs.disk.layout import Layout
from djafs.errors import PackingError
from djafs.packing import wire
from djafs.packing.packer import obituary, start
from djafs.tools.convert.contents import Contents, Draft, WriteError
from djafs.tools.convert.options import Options
from djafs.tools.convert.reading import Reader
from djafs.tools.convert.supply import NewContent, Supplied, Supply
from djafs.tools.convert.wanted import Place, Wanted

AHEAD = 128
"""Requests that may be unanswered: what the other process does while this one is busy."""

PIPE = 1 << 20
"""Bytes of answers that may wait, where the kernel allows it."""

PATIENCE = 60.0
"""Seconds for a process that has nothing left to do to end."""

COLLECT = 200_000
"""Objects after which Python looks for cycles: there are few, among very many values."""

_F_SETPIPE_SZ = 1031  # linux/fcntl.h


class Begin(NamedTuple):
    """What the process is told first."""

    root: str
    level: int
    threads: int
    readers: int
    next_content: int
    next_archive: int


class Consumer(Protocol):
    """What the files of the source are for."""

    def take(self, place: Place, wanted: list[Wanted], rows: list[Supplied | str]) -> None:
        """Take the files that were asked for, or what is wrong with them."""

    def content(self, content: NewContent) -> None:
        """Take a new part of a file that follows."""

    def sealed(self, draft: Draft) -> None:
        """Take note that nothing that follows is in this archive."""


class Feed(Protocol):
    """Gives files to a consumer. All methods may do so, and raise WriteError."""

    consumer: Consumer

    def ask(self, place: Place, wanted: list[Wanted]) -> None:
        """Ask for files of a directory."""

    def seal(self) -> None:
        """Ask for the archive to end behind what was asked for so far."""

    def settle(self) -> None:
        """Say that the index has what is in the oldest archive that was sealed."""

    def drain(self) -> None:
        """Return when everything is answered."""

    def wait(self, draft: Draft) -> ArchiveMetadata | None:
        """Return when an archive has its name; raises what went wrong with it."""

    def close(self) -> None:
        """Give up what was not sealed, and wait for what was."""


class LocalFeed:
    """Reads and packs in this process."""

    consumer: Consumer

    def __init__(self, contents: Contents, readers: int) -> None:
        self._contents = contents
        self._reader = Reader(readers)
        self.supply = Supply(contents, self._reader, self)

    def content(self, content: NewContent) -> None:
        """Hand a part on."""
        self.consumer.content(content)

    def sealed(self, draft: Draft) -> None:
        """Hand an archive on."""
        self.consumer.sealed(draft)

    def ask(self, place: Place, wanted: list[Wanted]) -> None:
        """Read and store files."""
        names = [name for name, _ in wanted]
        rows = self.supply.files(place.descriptor, place.member, names)
        self.consumer.take(place, wanted, rows)

    def seal(self) -> None:
        """End the archive."""
        self.supply.seal()

    def settle(self) -> None:
        """Forget the oldest archive."""
        self.supply.settle()

    def drain(self) -> None:
        """Return: everything is answered at once."""

    def wait(self, draft: Draft) -> ArchiveMetadata | None:
        """Return when an archive has its name."""
        return draft.done.result()

    def close(self) -> None:
        """End the threads."""
        self._reader.close()
        self._contents.close()


class ProcessFeed:
    """Has another process read and pack (``worker``), up to :data:`AHEAD` requests ahead.

    Directories are handed over open, with the first request for their files. Nobody waits for
    each other: while the requests' socket is full, answers are taken.
    """

    consumer: Consumer

    def __init__(self) -> None:
        """Start the process; :meth:`begin` gives it work."""
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        command = [sys.executable, "-m", "djafs.tools.convert.worker"]
        with theirs:
            self._process = start(command, stdin=theirs.fileno(), stderr=self._stderr)
        assert self._process.stdout is not None
        self._answers = self._process.stdout.fileno()
        _widen(self._answers)
        self._asked: deque[tuple[Place, list[Wanted]] | None] = deque()  # None: for a seal
        self._drafts: deque[Draft] = deque()  # sealed, without a name
        self._directory: Place | None = None  # the last one that was handed over

    def begin(self, options: Options, layout: Layout, numbers: tuple[int, int]) -> None:
        """Say what to do; ``numbers`` are those of the next content and of the next archive."""
        begin = Begin(layout.root, options.level, options.compressors, options.readers, *numbers)
        self._send("begin", *begin)

    def ask(self, place: Place, wanted: list[Wanted]) -> None:
        """Ask for files."""
        names = [name for name, _ in wanted]
        if place is self._directory:
            self._send("files", names)
        else:
            self._send("directory", place.member, descriptor=place.descriptor)
            self._directory = place
            self._send("files", names)
        self._asked.append((place, wanted))
        while len(self._asked) >= AHEAD:
            self._receive()

    def seal(self) -> None:
        """Ask for the archive to end."""
        self._send("seal")
        self._asked.append(None)

    def settle(self) -> None:
        """Say that the oldest archive is in the index."""
        self._send("settle")

    def drain(self) -> None:
        """Take all answers."""
        while self._asked:
            self._receive()

    def wait(self, draft: Draft) -> ArchiveMetadata | None:
        """Take answers until an archive has its name."""
        while not draft.done.done():
            self._receive()
        return draft.done.result()

    def close(self) -> None:
        """Let the process end, and see that it does. May be called again."""
        self._requests.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._process.returncode is None and not _ends(self._process.pid):
            self._process.kill()
        self._process.wait()
        self._stderr.close()

    def _send(self, kind: str, *fields: object, descriptor: int | None = None) -> None:
        message = [msgspec.msgpack.encode((kind, *fields))]
        rights = []
        if descriptor is not None:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))]
        while True:
            try:
                self._requests.sendmsg(message, rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._receive()
            except (BrokenPipeError, ConnectionResetError):
                self._receive()  # there it says what happened
            else:
                return

    def _receive(self) -> None:
        """Take one answer (raises WriteError, also when the process has died)."""
        try:
            kind, *fields = wire.read(self._read)
        except wire.WireError:
            self._process.wait()
            raise WriteError(PackingError(obituary(self._process, self._stderr))) from None
        if kind == "files":
            asked = self._asked.popleft()
            assert asked is not None
            place, wanted = asked
            rows = [row if isinstance(row, str) else Supplied._make(row) for row in fields[0]]
            self.consumer.take(place, wanted, rows)
        elif kind == "content":
            self.consumer.content(NewContent(*fields))
        elif kind == "sealed":
            if fields[0]:
                self._asked.popleft()
            draft = Draft(0, {})
            self._drafts.append(draft)
            self.consumer.sealed(draft)
        elif kind == "named":
            metadata = msgspec.convert(fields[0], ArchiveMetadata | None)
            self._drafts.popleft().done.set_result(metadata)
        else:
            number, text = fields
            raise WriteError(OSError(number, text) if number else PackingError(text))

    def _read(self, length: int) -> bytes:
        found = os.read(self._answers, length)
        while len(found) < length:
            more = os.read(self._answers, length - len(found))
            if not more:
                break
            found += more
        return found


def _ends(pid: int) -> bool:
    """Return whether a child that was not waited for ends within :data:`PATIENCE`.

    Popen.wait looks every 50 ms at last: here that would be a part of a short run.
    """
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(PATIENCE * 1000))
    finally:
        os.close(descriptor)


def _widen(pipe: int) -> None:
    with contextlib.suppress(OSError):  # more than this user may have: it stays as it is
        fcntl(pipe, _F_SETPIPE_SZ, PIPE)
