"""What is done about a name of the source: bring it, replace it, touch it up, remove it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Protocol

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
from djafs.model import Inode
from djafs.store.tree import Listed
from djafs.tools.convert.contents import Draft
from djafs.tools.convert.feed import Feed
from djafs.tools.convert.intake import Intake
from djafs.tools.convert.links import Known, Links
from djafs.tools.convert.reading import CHANGED, Xattrs
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.supply import NewContent, Supplied
from djafs.tools.convert.target import Target
from djafs.tools.convert.wanted import Place, Wanted


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

    def settled(self) -> None:
        """Return when everything that was asked for is brought."""

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
        feed: Feed,
        target: Target,
        links: Links,
        summary: Summary,
    ) -> None:
        self._intake, self._feed, self._target = intake, feed, target
        self._links, self._summary = links, summary
        self._disturbed: set[int] = set()  # directories whose times a link will change
        feed.consumer = self

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
        """Bring regular files, in order; some time later, but before :meth:`settled` returns."""
        self._feed.ask(place, wanted)
        self._intake.step()

    def settled(self) -> None:
        """Return when everything that was asked for is brought."""
        self._feed.drain()

    def take(self, place: Place, wanted: list[Wanted], rows: list[Supplied | str]) -> None:
        """Queue the records of files that are in archives."""
        for (name, present), row in zip(wanted, rows, strict=True):
            if isinstance(row, str):
                self._summary.fail(place.path + name, row)
            elif row.nlink > 1:
                self._take_linked(place, name, row, present)
            else:
                self._take_one(place, name, row, present)

    def content(self, content: NewContent) -> None:
        """Queue the record of a part of a file."""
        cid, digest, archive, at, size = content
        self._intake.add(Content(0, 0, cid, digest.hex(), archive, at, size))

    def sealed(self, draft: Draft) -> None:
        """Have what is queued logged when the archive has its name."""
        self._intake.sealed(draft)

    def _take_linked(self, place: Place, name: bytes, row: Supplied, present: Inode | None) -> None:
        """Bring a file that has several names, unless it came in under another one."""
        key = (row.device, row.inode)
        known = self._links.get(*key)
        if known is not None:
            self.link(place, name, known, present)
        elif row.again:
            self._summary.fail(place.path + name, CHANGED)
        else:
            ino = self._take_one(place, name, row, present)
            self._links.put(*key, Known(ino, True))

    def _take_one(self, place: Place, name: bytes, row: Supplied, present: Inode | None) -> int:
        summary = self._summary
        if present is None:
            summary.new += 1
        else:
            summary.changed += 1
        summary.bytes_read += row.size
        return self.bring_row(place, name, row, replaces=present is not None)

    def bring_row(self, place: Place, name: bytes, row: Supplied, *, replaces: bool) -> int:
        """Queue the records of a file; return the number of its inode."""
        (mode, _, _, _, uid, gid, size, mtime, atime, xattrs,
         cid, digest, archive, at, parts, duplicates, _) = row  # fmt: skip
        ino = self._intake.new_ino()
        self._intake.add(
            File(
                0,
                0,
                place.ino,
                text_of(name),
                ino,
                mode,
                uid,
                gid,
                size,
                mtime,
                None if atime == mtime else atime,
                cid,
                digest.hex() if digest else None,
                archive,
                at,
                parts,
                replaces,
            )
        )
        self._summary.duplicates += duplicates
        if xattrs:
            self._set_xattrs(ino, xattrs)
        return ino

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
        if not brought:
            self._disturbed.add(place.ino)
        self._intake.add(Link(0, 0, known.ino, place.ino, text_of(name), replace, brought))
        self._summary.links += 1

    def touch_up(
        self, inode: Inode, status: os.stat_result, xattrs: Xattrs | None, *, times: bool
    ) -> bool:
        """Give an inode its attributes; return whether any were others."""
        mode = None if inode.mode == status.st_mode else status.st_mode
        uid = None if inode.uid == status.st_uid else status.st_uid
        gid = None if inode.gid == status.st_gid else status.st_gid
        if inode.ino in self._disturbed:
            self._disturbed.remove(inode.ino)
            times = True
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
