"""Reading an archive from end to end: every frame, every member, every checksum, in one pass.

Used to read an archive back before it is trusted, and by ``validate``. Frames are read and
inflated by one thread while another hashes, so that a pass costs little more than
``zstd -dc | sha256sum``. Format: docs/formats/archive.md.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from djafs.disk import tar
from djafs.disk.archive_reader import ArchiveReader
from djafs.errors import ArchiveDamageError

_AHEAD = 4  # frames inflated before they are asked for
_MOST_RECORDS = 1 << 20  # bytes of pax records before a member; more is no name of a file

Report = Callable[[ArchiveDamageError], None]
"""Told of each problem; may raise it to end the pass there."""


class ScannedMember(NamedTuple):
    """A member as it was found in the tar."""

    name: bytes
    at: int  # of the content, in the tar
    size: int
    digest: bytes  # SHA-256 of the content


def _raise(problem: ArchiveDamageError) -> None:
    raise problem


class ArchiveScan:
    """One pass over the archive at ``path``; iterate over it, once, for its members.

    Each problem goes to ``report``, which raises it unless another is given. If ``report``
    returns, the pass goes on with the next tar header that it finds (or where the member that was
    cut ends): the members in between are left out.
    """

    def __init__(self, path: str, report: Report = _raise) -> None:
        self.path = path
        self._sha256 = hashlib.sha256()  # of the file
        self.size = 0  # bytes of the file
        self.tar_size = 0
        self.frames = 0
        self._report = report

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the file, in hexadecimal digits: complete when the pass is."""
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[ScannedMember]:
        """Yield the members in the order of the tar."""
        try:
            reader = ArchiveReader(self.path)
        except ArchiveDamageError as problem:
            self._report(problem)
            return
        self.size = reader.size
        self.tar_size = reader.table.tar_size
        self.frames = reader.table.frames
        try:
            yield from self._members(reader)
        finally:
            reader.close()

    def _members(self, reader: ArchiveReader) -> Iterator[ScannedMember]:
        walk = MemberWalk(self.tar_size)
        for number, frame in enumerate(self._inflated(reader)):
            damage = frame if isinstance(frame, ArchiveDamageError) else None
            if not isinstance(frame, ArchiveDamageError):
                damage = yield from self._fed(walk, reader, number, frame)
            if damage is not None:
                self._report(damage)
                walk.lose(reader.table.tar[number + 1])
        if not walk.ended:
            self._report(reader.damage(reader.size, "its tar has no end"))

    @staticmethod
    def _fed(
        walk: MemberWalk, reader: ArchiveReader, number: int, frame: bytes
    ) -> Generator[ScannedMember, None, ArchiveDamageError | None]:
        """Yield the members that end in a frame; return what is wrong with its tar."""
        try:
            yield from walk.feed(reader.table.tar[number], frame)
        except tar.TarFormatError as error:
            return reader.damage(reader.table.file[number], f"frame {number}: {error}")
        return None

    def _inflated(self, reader: ArchiveReader) -> Iterator[bytes | ArchiveDamageError]:
        """Yield each frame, or what is wrong with it, some being prepared ahead."""

        def prepare(number: int) -> tuple[bytes, bytes | ArchiveDamageError]:
            compressed = b""
            try:
                compressed = reader.compressed(number)
                return compressed, reader.inflate(number, compressed)
            except ArchiveDamageError as damage:
                return compressed, damage

        waiting: deque[Future[tuple[bytes, bytes | ArchiveDamageError]]] = deque()
        pool = ThreadPoolExecutor(1, "djafs-inflate")
        try:
            for number in range(self.frames + _AHEAD):
                if number < self.frames:
                    waiting.append(pool.submit(prepare, number))
                if number >= _AHEAD:
                    compressed, frame = waiting.popleft().result()
                    self._sha256.update(compressed)
                    yield frame
        finally:
            pool.shutdown(cancel_futures=True)
        self._sha256.update(reader.tail())


class MemberWalk:
    """Finds the members in the frames of a tar, which are given to it in order."""

    def __init__(self, tar_size: int) -> None:
        self.ended = False  # the two blocks of zeros were there, and were the last
        self._tar_size = tar_size
        self._next = 0  # where the next header is, in the tar
        self._cut: _Cut | None = None  # the member that the last frame ended in
        self._pax: dict[bytes, bytes] = {}  # for the next member
        self._lost = False  # where the next header is, is not known

    def lose(self, base: int) -> None:
        """Go on at the frame that begins at ``base``, without what came before it."""
        self._pax = {}
        self._cut = None
        # A member that was cut ends where its header said, whatever happened to its middle.
        self._lost = self._next <= base

    def feed(self, base: int, frame: bytes) -> Iterator[ScannedMember]:
        """Yield the members that end in the frame that begins at ``base`` in the tar.

        Raises TarFormatError where the tar is malformed; then :meth:`lose` must be called.
        """
        end = base + len(frame)
        view = memoryview(frame)
        if self._lost:
            self._search(base, view)
        if self._lost:
            return
        if self._cut is not None:
            cut, self._cut = self._cut, None
            yield from self._take(cut, base, view)
        while self._next < end and not self.ended:
            start = self._next - base
            head = tar.parse(view[start : start + tar.BLOCK])
            if head is None:
                self._check_end(self._next, view[start + tar.BLOCK :])
                return
            yield from self._take(self._begin(head), base, view)

    def _search(self, base: int, view: memoryview) -> None:
        """Look for the next header, block by block; it is where the walk goes on."""
        for start in range(0, len(view), tar.BLOCK):
            try:
                head = tar.parse(view[start : start + tar.BLOCK])
            except tar.TarFormatError:
                continue
            if head is not None or base + start + len(tar.END) == self._tar_size:
                self._lost = False
                self._next = base + start
                return

    def _check_end(self, at: int, second: memoryview) -> None:
        if at + len(tar.END) != self._tar_size or any(second):
            raise tar.TarFormatError("the tar goes on after its end")
        self.ended = True

    def _begin(self, head: tar.Header) -> _Cut:
        """Open the member whose header has just been read, at ``_next``."""
        if head.type not in {tar.REGULAR, tar.PAX}:
            raise tar.TarFormatError(f"a tar member has type {head.type!r}")
        name, size = head.name, head.size
        if head.type == tar.REGULAR and self._pax:
            name = self._pax.get(b"path", name)
            if b"size" in self._pax:
                size = tar.pax_number(self._pax[b"size"])
            self._pax = {}
        elif head.type == tar.PAX and size > _MOST_RECORDS:
            raise tar.TarFormatError(f"a pax header has {size} bytes")
        at = self._next + tar.BLOCK
        self._next = at + tar.padded(size)
        return _Cut(head.type, name, at, size)

    def _take(self, cut: _Cut, base: int, view: memoryview) -> Iterator[ScannedMember]:
        """Take what this frame has of a member; yield the member if that completes it."""
        start = max(cut.at - base, 0)
        content = view[start : cut.at + cut.size - base]
        if cut.type == tar.PAX:
            cut.records += content
        else:
            cut.sha256.update(content)
        if cut.at + cut.size > base + len(view):
            self._cut = cut
        elif cut.type == tar.PAX:
            self._pax = tar.parse_pax(bytes(cut.records))
        else:
            yield ScannedMember(cut.name, cut.at, cut.size, cut.sha256.digest())


class _Cut:
    """A member of which not all has been seen."""

    __slots__ = ("at", "name", "records", "sha256", "size", "type")

    def __init__(self, kind: bytes, name: bytes, at: int, size: int) -> None:
        self.type = kind
        self.name = name
        self.at = at
        self.size = size
        self.sha256 = hashlib.sha256()
        self.records = bytearray()


def problems(path: str) -> list[ArchiveDamageError]:
    """Return all that is wrong with the archive at ``path`` in itself: none if it is whole.

    Checks the seal, the seek table against the frames, each frame's checksum, and the tar.
    """
    found: list[ArchiveDamageError] = []
    for _ in ArchiveScan(path, found.append):
        pass
    return found
