"""From files of the source to contents in archives, and to what the log has to say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from djafs.disk.tar import Entry
from djafs.extents import PART
from djafs.packing.plan import member_name
from djafs.tools.convert.contents import Contents, Draft
from djafs.tools.convert.large import FilePart, LargeFile
from djafs.tools.convert.reading import (
    ATTEMPTS,
    CHANGED,
    Gone,
    Reader,
    ReadFile,
    SourceError,
    UnreadableError,
    Xattrs,
    describe,
)

LINKED = 1 << 16
"""Large files with several names that are remembered, so that none is read for each name."""


class Supplied(NamedTuple):
    """A regular file of the source, whose content is in an archive."""

    mode: int
    nlink: int
    device: int
    inode: int
    uid: int
    gid: int
    size: int
    mtime: int
    atime: int
    xattrs: Xattrs | None
    cid: int = 0  # 0: empty, nothing but a hole, or in parts
    digest: bytes = b""  # SHA-256 of a content that is new and is the whole file
    archive: int = 0  # where that one lies
    at: int = 0
    parts: list[int] | None = None  # contents of a file of several parts, 0 for a hole
    duplicates: int = 0  # contents that the store had
    again: bool = False  # a large file that came under another name: its content was not read


class NewContent(NamedTuple):
    """A content that is a part of a file, and now in an archive."""

    cid: int
    digest: bytes
    archive: int
    at: int
    size: int


# As _make does, without a call of Python's for every file.
_entry: Callable[[tuple[Any, ...]], Entry] = partial(tuple.__new__, Entry)
_supplied: Callable[[tuple[Any, ...]], Supplied] = partial(tuple.__new__, Supplied)


class Receiver(Protocol):
    """What is told, in order, beside the rows that it asked for."""

    def content(self, content: NewContent) -> None:
        """Take note of a new part of a file whose row follows."""

    def sealed(self, draft: Draft) -> None:
        """Take note that an archive has its last content; nothing told later is in it."""


class Supply:
    """Reads files and stores their contents."""

    def __init__(self, contents: Contents, reader: Reader, receiver: Receiver) -> None:
        self._contents, self._reader, self._receiver = contents, reader, receiver
        self._linked: dict[tuple[int, int], int] = {}  # large files: when they changed last

    def files(self, directory: int, path: bytes, names: Sequence[bytes]) -> list[Supplied | str]:
        """Store the files ``names`` of an open directory; say what is wrong with those that fail.

        ``path`` is what their members' names begin with. Raises WriteError.
        """
        rows: list[Supplied | str] = []
        for name, read in self._reader.read(names, directory):
            if isinstance(read, Gone):
                rows.append(read.error)
            elif read.data is None:
                rows.append(self._large(directory, path + name, name, read))
            else:
                rows.append(self._small(path + name, read))
        if self._contents.full:
            self.seal()
        return rows

    def version(
        self, member: bytes, read: ReadFile, parts: Callable[[ReadFile], Iterable[FilePart]]
    ) -> Supplied:
        """Store what is no file of a tree; ``parts`` yields those of a large one.

        Raises WriteError, and whatever ``parts`` does.
        """
        if read.data is None:
            row = self._in_parts(member, read, parts(read))
        else:
            row = self._small(member, read)
        if self._contents.full:
            self.seal()
        return row

    def seal(self) -> None:
        """End the archive (raises WriteError)."""
        self._receiver.sealed(self._contents.seal())

    def settle(self) -> None:
        """Forget the oldest archive that was sealed: the index has its contents."""
        self._contents.settle()

    def _small(self, member: bytes, read: ReadFile) -> Supplied:
        status, data, digest, xattrs = read
        mode, inode, device, nlink, uid, gid, size, _, _, _ = status
        mtime = status.st_mtime_ns
        known = (mode, nlink, device, inode, uid, gid, size, mtime, status.st_atime_ns, xattrs)
        if not data:
            return Supplied(*known)
        entry = _entry((member, size, mtime, mode & 0o7777, uid, gid))
        cid, new, archive, at = self._contents.put(data, digest, entry)
        if new:
            return _supplied((*known, cid, digest, archive, at, None, 0, False))
        return Supplied(*known, cid, duplicates=1)

    def _large(self, directory: int, member: bytes, name: bytes, read: ReadFile) -> Supplied | str:
        key, changed = (read.status.st_dev, read.status.st_ino), read.status.st_ctime_ns
        if read.status.st_nlink > 1 and self._linked.get(key) == changed:
            return _row(read)._replace(again=True)
        try:
            row = self._read_large(directory, member, name, read)
        except SourceError as error:
            return str(error)
        if row.nlink > 1:
            if len(self._linked) >= LINKED:
                del self._linked[next(iter(self._linked))]
            self._linked[key] = changed
        return row

    def _read_large(self, directory: int, member: bytes, name: bytes, read: ReadFile) -> Supplied:
        for _ in range(ATTEMPTS):
            try:
                large = LargeFile(name, directory)
            except OSError as error:
                raise UnreadableError(describe(error)) from error
            try:
                now = read._replace(status=large.status)
                return self._in_parts(member, now, large.parts())
            except UnreadableError:
                raise
            except SourceError:
                continue
            finally:
                large.close()
        raise SourceError(CHANGED)

    def _in_parts(self, member: bytes, read: ReadFile, parts: Iterable[FilePart]) -> Supplied:
        """Store a file part by part."""
        status = read.status
        count = -(-status.st_size // PART)
        cids: list[int] = []
        duplicates = 0
        for part in parts:
            if part.data is None:
                cids.append(0)
                continue
            name = member_name(member, part.number, count)
            mode, size = status.st_mode & 0o7777, len(part.data)
            entry = Entry(name, size, status.st_mtime_ns, mode, status.st_uid, status.st_gid)
            cid, new, archive, at = self._contents.put(part.data, part.digest, entry)
            if new:
                self._receiver.content(NewContent(cid, part.digest, archive, at, size))
            duplicates += not new
            cids.append(cid)
            if self._contents.full:
                self.seal()
        row = _row(read)._replace(duplicates=duplicates)
        return row._replace(cid=cids[0]) if count == 1 else row._replace(parts=cids)


def _row(read: ReadFile) -> Supplied:
    status = read.status
    return Supplied(
        status.st_mode,
        status.st_nlink,
        status.st_dev,
        status.st_ino,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_atime_ns,
        read.xattrs,
    )
