"""What is done about a name of the source: bring it, replace it, touch it up, remove it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from djafs.disk.records import (
    Content,
    Create,
    File,
    Link,
    Rmdir,
    Setattr,
    Setxattr,
    Unlink,
    text_of,
)
from djafs.disk.tar import Entry
from djafs.extents import PART
from djafs.model import Inode
from djafs.packing.plan import member_name
from djafs.store.tree import Listed
from djafs.tools.convert.contents import Contents, Placed
from djafs.tools.convert.intake import Intake
from djafs.tools.convert.large import FilePart, LargeFile
from djafs.tools.convert.links import Known, Links
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
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.target import Target


class Place(NamedTuple):
    """A directory of the source, open, and what it is in the store."""

    descriptor: int
    ino: int
    path: bytes  # of the source, with a slash at its end unless empty
    fresh: bool  # the store has nothing in it


class Wanted(NamedTuple):
    """A regular file to be brought, and what the store has under its name."""

    name: bytes
    present: Inode | None


class Carrier(Protocol):
    """What the walk asks for."""

    def directory(self, place: Place, name: bytes, status: os.stat_result, xattrs: Xattrs | None,
                  present: Inode | None) -> int:  # fmt: skip
        """Make a directory, unless ``present`` is it; return its inode number."""

    def bring(self, place: Place, wanted: list[Wanted]) -> None:
        """Bring regular files, in order."""

    def other(self, place: Place, name: bytes, status: os.stat_result, xattrs: Xattrs | None,
              present: Inode | None) -> int:  # fmt: skip
        """Bring a symbolic link, device, pipe or socket; return its inode number."""

    def link(self, place: Place, name: bytes, known: Known, present: Inode | None) -> None:
        """Give a file that is in the store a further name."""

    def touch_up(self, inode: Inode, status: os.stat_result, xattrs: Xattrs | None, *,
                 times: bool) -> bool:  # fmt: skip
        """Give an inode its attributes; return whether any were others."""

    def remove(self, directory: int, name: bytes, inode: Inode) -> None:
        """Remove a name, and everything below it."""


class StoreCarrier:
    """Carries into a store."""

    def __init__(
        self,
        intake: Intake,
        contents: Contents,
        target: Target,
        links: Links,
        reader: Reader,
        summary: Summary,
        prefix: bytes,
    ) -> None:
        self._intake, self._contents, self._target = intake, contents, target
        self._links, self._reader, self._summary = links, reader, summary
        self._prefix = prefix  # of member names: a path with a slash at its end, or empty

    def directory(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        xattrs: Xattrs | None,
        present: Inode | None,
    ) -> int:
        """Make a directory, unless ``present`` is it; return its inode number."""
        if present is not None:
            return present.ino
        return self._create(place, name, status, xattrs, replace=False)

    def _create(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        xattrs: Xattrs | None,
        target: bytes | None = None,
        *,
        replace: bool,
    ) -> int:
        ino = self._intake.new_ino()
        atime = None if status.st_atime_ns == status.st_mtime_ns else status.st_atime_ns
        self._intake.add(
            Create(
                0,
                0,
                place.ino,
                text_of(name),
                ino,
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_rdev if stat.S_IFMT(status.st_mode) in _DEVICES else 0,
                None if target is None else text_of(target),
                status.st_mtime_ns,
                atime,
                replace,
            )
        )
        self._set_xattrs(ino, xattrs)
        self._intake.step()
        return ino

    def _set_xattrs(self, ino: int, xattrs: Xattrs | None) -> None:
        for name, value in (xattrs or {}).items():
            self._intake.add(Setxattr(0, 0, ino, text_of(name), value))

    # Regular files

    def bring(self, place: Place, wanted: list[Wanted]) -> None:
        """Bring regular files, in order."""
        names = [name for name, _ in wanted]
        found = self._reader.read(names, place.descriptor)
        for (name, present), (_, read) in zip(wanted, found, strict=True):
            if isinstance(read, Gone):
                self._summary.fail(place.path + name, read.error)
            elif read.status.st_nlink > 1:
                self._bring_linked(place, name, read, present)
            else:
                self._bring_one(place, name, read, present)
        self._intake.step()

    def _bring_linked(
        self, place: Place, name: bytes, read: ReadFile, present: Inode | None
    ) -> None:
        """Bring a file that has several names, unless it came in under another one."""
        key = (read.status.st_dev, read.status.st_ino)
        known = self._links.get(*key)
        if known is not None:
            self.link(place, name, known, present)
            return
        ino = self._bring_one(place, name, read, present)
        if ino is not None:
            self._links.put(*key, Known(ino, True))

    def _bring_one(
        self, place: Place, name: bytes, read: ReadFile, present: Inode | None
    ) -> int | None:
        status, summary = read.status, self._summary
        if read.data is None:
            try:
                ino = self._bring_large(place, name, read, present)
            except SourceError as error:
                summary.fail(place.path + name, str(error))
                return None
        else:
            ino = self._bring_small(place, name, read, present is not None)
        if present is None:
            summary.new += 1
        else:
            summary.changed += 1
        summary.bytes_read += status.st_size
        self._set_xattrs(ino, read.xattrs)
        return ino

    def bring_version(
        self,
        place: Place,
        name: bytes,
        read: ReadFile,
        parts: Callable[[ReadFile], Iterator[FilePart]],
        *,
        replaces: bool,
    ) -> None:
        """Bring a file that is no file of a tree; ``parts`` yields those of a large one."""
        if read.data is None:
            self._bring_parts(place, name, read.status, parts(read), replaces)
        else:
            self._bring_small(place, name, read, replaces)

    def _bring_small(self, place: Place, name: bytes, read: ReadFile, replaces: bool) -> int:
        status, data = read.status, read.data
        file = self._file(place, name, status, replaces)
        if data:
            entry = _entry(self._prefix + place.path + name, data, status)
            placed = self._contents.put(data, read.digest, entry)
            file.cid = placed.cid
            if placed.new:
                file.sha256, file.arc, file.at = read.digest.hex(), placed.archive, placed.at
            else:
                self._summary.duplicates += 1
        self._intake.add(file)
        return file.ino

    def _file(self, place: Place, name: bytes, status: os.stat_result, replaces: bool) -> File:
        mtime, atime = status.st_mtime_ns, status.st_atime_ns
        return File(
            0,
            0,
            place.ino,
            text_of(name),
            self._intake.new_ino(),
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_size,
            mtime,
            None if atime == mtime else atime,
            replace=replaces,
        )

    def _bring_large(self, place: Place, name: bytes, read: ReadFile, present: Inode | None) -> int:
        for _ in range(ATTEMPTS):
            try:
                large = LargeFile(name, place.descriptor)
            except OSError as error:
                raise UnreadableError(describe(error)) from error
            try:
                parts = large.parts()
                return self._bring_parts(place, name, large.status, parts, present is not None)
            except UnreadableError:
                raise
            except SourceError:
                continue
            finally:
                large.close()
        raise SourceError(CHANGED)

    def _bring_parts(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        parts: Iterator[FilePart],
        replaces: bool,
    ) -> int:
        """Bring a file part by part; its parts are stored before it is."""
        count = -(-status.st_size // PART)
        path = self._prefix + place.path + name
        cids: list[int] = []
        for part in parts:
            if part.data is None:
                cids.append(0)
                continue
            member = member_name(path, part.number, count)
            placed = self._contents.put(part.data, part.digest, _entry(member, part.data, status))
            self._note_content(placed, part.digest, len(part.data))
            cids.append(placed.cid)
            self._intake.step()
        file = self._file(place, name, status, replaces)
        if len(cids) == 1:
            file.cid = cids[0]
        else:
            file.parts = cids
        self._intake.add(file)
        return file.ino

    def _note_content(self, placed: Placed, digest: bytes, size: int) -> None:
        if placed.new:
            fields = (placed.cid, digest.hex(), placed.archive, placed.at, size)
            self._intake.add(Content(0, 0, *fields))
        else:
            self._summary.duplicates += 1

    def step(self) -> None:
        """Let what can be logged be logged (raises WriteError)."""
        self._intake.step()

    # Everything else

    def other(
        self,
        place: Place,
        name: bytes,
        status: os.stat_result,
        xattrs: Xattrs | None,
        present: Inode | None,
    ) -> int:
        """Bring a symbolic link, device, pipe or socket; return its inode number."""
        target = None
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=place.descriptor)
        ino = self._create(place, name, status, xattrs, target, replace=present is not None)
        if present is not None:
            self._summary.changed += 1
        return ino

    def link(self, place: Place, name: bytes, known: Known, present: Inode | None) -> None:
        """Give a file that is in the store a further name."""
        if present is not None and present.ino == known.ino:
            return
        replace = present is not None
        brought = known.brought and not replace
        self._intake.add(Link(0, 0, known.ino, place.ino, text_of(name), replace, brought))
        self._summary.links += 1

    def touch_up(
        self, inode: Inode, status: os.stat_result, xattrs: Xattrs | None, *, times: bool
    ) -> bool:
        """Give an inode its attributes; return whether any were others."""
        mode = None if inode.mode == status.st_mode else status.st_mode
        uid = None if inode.uid == status.st_uid else status.st_uid
        gid = None if inode.gid == status.st_gid else status.st_gid
        mtime = status.st_mtime_ns if times or inode.mtime != status.st_mtime_ns else None
        differs = not (mode is uid is gid is mtime is None)
        if differs:
            change = Setattr(0, 0, inode.ino, mode, uid, gid, mtime=mtime)
            self._intake.add(change)
        before, after = inode.xattrs or {}, xattrs or {}
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                self._intake.add(Setxattr(0, 0, inode.ino, text_of(name), after.get(name)))
                differs = True
        return differs

    def remove(self, directory: int, name: bytes, inode: Inode) -> None:
        """Remove a name, and everything below it."""
        stack = [(directory, name, inode, self._below(inode))]
        while stack:
            parent, last, taken, below = stack[-1]
            entry = next(below, None)
            if entry is None:
                gone = Rmdir if taken.is_directory else Unlink
                self._intake.add(gone(0, 0, parent, text_of(last)))
                self._summary.gone += 1
                stack.pop()
                continue
            inner = self._target.inode(entry.ino)
            stack.append((taken.ino, entry.name, inner, self._below(inner)))

    def _below(self, inode: Inode) -> Iterator[Listed]:
        return self._target.entries(inode.ino) if inode.is_directory else iter(())


_DEVICES = {stat.S_IFCHR, stat.S_IFBLK}


def _entry(member: bytes, data: bytes, status: os.stat_result) -> Entry:
    mode, uid, gid = status.st_mode & 0o7777, status.st_uid, status.st_gid
    return Entry(member, len(data), status.st_mtime_ns, mode, uid, gid)
