"""The walk over the source, directory by directory, and what is to be done about each name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from djafs.errors import DamageError
from djafs.model import Inode
from djafs.store.tree import Listed
from djafs.tools.convert.carrying import Carrier
from djafs.tools.convert.excludes import Excludes
from djafs.tools.convert.large import LargeFile
from djafs.tools.convert.links import Known, Links
from djafs.tools.convert.listing import Listing, batches
from djafs.tools.convert.options import Options
from djafs.tools.convert.reading import (
    BATCH,
    CHANGED,
    SourceError,
    Xattrs,
    describe,
    read_xattrs,
)
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.target import Target
from djafs.tools.convert.wanted import Place, Wanted

Tick = Callable[[], bool]
"""Called now and then; returns whether to stop."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StoppedError(Exception):
    """The walk was asked to stop."""


class _Frame:
    """A directory that the walk is in."""

    def __init__(
        self,
        place: Place,
        status: os.stat_result,
        xattrs: Xattrs | None,
        present: Inode | None,
        directories: Iterator[bytes],
    ) -> None:
        self.place, self.status, self.xattrs = place, status, xattrs
        self.present = present
        self.directories = directories
        self.disturbed = False  # a name was removed from it
        self.asked = False  # files in it were asked for


class Walk:
    """One walk. Descriptors are held for the directories above the present one."""

    def __init__(
        self,
        options: Options,
        target: Target,
        carrier: Carrier,
        links: Links,
        summary: Summary,
        tick: Tick,
    ) -> None:
        self._options, self._target, self._carrier = options, target, carrier
        self._links, self._summary, self._tick = links, summary, tick
        self._excludes = Excludes(options.exclude)
        self._source = os.path.join(os.fsencode(options.source), b"")
        self._stack: list[_Frame] = []

    def run(self, root: int) -> None:
        """Walk the source, which becomes directory ``root`` of the store.

        Raises StoppedError, and OSError where the source's own top cannot be read.
        """
        descriptor = os.open(self._options.source, _DIRECTORY & ~os.O_NOFOLLOW)
        present = self._target.inode(root)
        self._device = os.fstat(descriptor).st_dev
        prefix = self._options.prefix + b"/" if self._options.prefix else b""
        self._enter(Place(descriptor, root, b"", present.entries == 0, prefix), present)
        try:
            while self._stack:
                frame = self._stack[-1]
                name = next(frame.directories, None)
                if name is None:
                    self._leave(frame)
                else:
                    self._descend(frame, name)
        finally:
            for frame in self._stack:
                os.close(frame.place.descriptor)

    # Directories

    def _descend(self, frame: _Frame, name: bytes) -> None:
        place = frame.place
        if self._is_excluded(place, name, is_directory=True) or self._is_lost_found(place, name):
            return
        try:
            descriptor = os.open(name, _DIRECTORY, dir_fd=place.descriptor)
        except OSError as error:
            self._summary.fail(place.path + name, describe(error))
            return
        try:
            status = os.fstat(descriptor)
            xattrs = read_xattrs(descriptor)
            present = self._make_way(frame, name, status)
            ino = self._carrier.directory(place, name, status, xattrs, present)
            self._summary.directories += 1
        except (OSError, SourceError) as error:
            os.close(descriptor)
            what = describe(error) if isinstance(error, OSError) else str(error)
            self._summary.fail(place.path + name, what)
            return
        fresh, member = present is None, b"%s%s/" % (place.member, name)
        below = Place(descriptor, ino, b"%s%s/" % (place.path, name), fresh, member)
        if self._options.one_file_system and status.st_dev != self._device:
            os.close(descriptor)
            return
        self._enter(below, present, status, xattrs)

    def _is_lost_found(self, place: Place, name: bytes) -> bool:
        if name != b"lost+found":
            return False
        if not place.path:
            return True
        above = os.stat("..", dir_fd=place.descriptor)
        return os.fstat(place.descriptor).st_dev != above.st_dev

    def _is_excluded(self, place: Place, name: bytes, *, is_directory: bool) -> bool:
        if self._excludes and self._excludes.match(place.path, name, is_directory=is_directory):
            self._summary.excluded += 1
            return True
        return False

    def _enter(
        self,
        place: Place,
        present: Inode | None,
        status: os.stat_result | None = None,
        xattrs: Xattrs | None = None,
    ) -> None:
        if status is None:
            status, xattrs = os.fstat(place.descriptor), read_xattrs(place.descriptor)
        try:
            listing = Listing(place.descriptor)
        except OSError as error:
            self._summary.fail(place.path or b".", describe(error))
            os.close(place.descriptor)
            return
        frame = _Frame(place, status, xattrs, present, iter(listing.directories))
        self._stack.append(frame)
        if self._options.delete and not place.fresh:
            self._delete(frame)
        self._take_files(frame, listing)
        self._take_others(frame, listing)

    def _leave(self, frame: _Frame) -> None:
        """Give a directory that was there already its attributes, now that it is complete."""
        if frame.present is not None:
            if frame.asked:
                self._carrier.settled()  # a link changes the times of its directory
            present = self._target.inode(frame.present.ino)
            if self._carrier.touch_up(present, frame.status, frame.xattrs, times=frame.disturbed):
                self._summary.attributes += 1
        os.close(frame.place.descriptor)
        self._stack.pop()

    def _delete(self, frame: _Frame) -> None:
        place = frame.place
        for entry in self._target.entries(place.ino):
            try:
                os.lstat(entry.name, dir_fd=place.descriptor)
            except FileNotFoundError:
                self._delete_entry(frame, entry)
            except OSError as error:
                self._summary.fail(place.path + entry.name, describe(error))

    def _delete_entry(self, frame: _Frame, entry: Listed) -> None:
        inode = self._target.inode(entry.ino)
        is_directory = inode.is_directory
        if not self._is_excluded(frame.place, entry.name, is_directory=is_directory):
            self._carrier.remove(frame.place.ino, entry.name, inode)
            frame.disturbed = True

    def _make_way(self, frame: _Frame, name: bytes, status: os.stat_result) -> Inode | None:
        """Return what the store has under a name, if that is of the same type; else remove it.

        A name of another type than directory needs no removal: it is replaced.
        """
        place = frame.place
        present = None if place.fresh else self._target.lookup(place.ino, name)
        if present is None or stat.S_IFMT(present.mode) == stat.S_IFMT(status.st_mode):
            return present
        if not present.is_directory and not stat.S_ISDIR(status.st_mode):
            return present
        if present.is_directory and present.entries and not self._options.delete:
            raise SourceError("a directory of the store is in its way; --delete removes it")
        self._carrier.remove(place.ino, name, present)
        frame.disturbed = True
        return None

    # Files

    def _take_files(self, frame: _Frame, listing: Listing) -> None:
        place = frame.place
        for names in batches(listing.files, BATCH):
            if self._excludes:
                names = [n for n in names if not self._is_excluded(place, n, is_directory=False)]  # noqa: PLW2901
            if place.fresh:
                wanted = [Wanted(name, None) for name in names]
            else:
                wanted = [w for name in names for w in self._compare(frame, name)]
            self._summary.files += len(names)
            if wanted:
                frame.asked = True
                self._carrier.bring(place, wanted)
            if self._tick():
                raise StoppedError

    def _compare(self, frame: _Frame, name: bytes) -> Iterator[Wanted]:
        """Yield a file if it has to be brought; what little else there is to do is done here."""
        place, summary = frame.place, self._summary
        try:
            status = os.lstat(name, dir_fd=place.descriptor)
            present = self._make_way(frame, name, status)
            key = (status.st_dev, status.st_ino)
            known = None
            if status.st_nlink > 1:
                self._carrier.settled()  # it may be among what was asked for
                known = self._links.get(*key)
            if known is not None:
                self._carrier.link(place, name, known, present)
                return
            if present is None or not self._is_same(place, name, status, present):
                yield Wanted(name, present)
                return
            if status.st_nlink > 1:
                self._links.put(*key, Known(present.ino, False))
            summary.unchanged += 1
            xattrs = read_xattrs(_path(place, name))
        except OSError as error:
            summary.fail(place.path + name, describe(error))
        except SourceError as error:
            summary.fail(place.path + name, str(error))
        else:
            if self._carrier.touch_up(present, status, xattrs, times=False):
                summary.attributes += 1

    def _is_same(self, place: Place, name: bytes, status: os.stat_result, present: Inode) -> bool:
        """Return whether the store has a file of the source already."""
        if stat.S_IFMT(present.mode) != stat.S_IFMT(status.st_mode):
            return False
        if present.size != status.st_size or (
            present.mtime != status.st_mtime_ns and not self._options.checksum
        ):
            return False
        if present.nlink > 1 and (status.st_nlink == 1 or self._links.is_taken(present.ino)):
            return False
        if self._options.checksum or not self._is_same_group(status, present):
            return self._has_same_content(place, name, present)
        return True

    def _is_same_group(self, status: os.stat_result, present: Inode) -> bool:
        """Return whether a file of the source has just the names that an inode of the store has.

        If not, links were made between several files, and the size and time of one say nothing
        about the content of another.
        """
        if status.st_nlink == present.nlink == 1:
            return True
        if status.st_nlink != present.nlink:
            return False
        key = (status.st_dev, status.st_ino)
        prefix = os.path.join(self._options.prefix, b"") if self._options.prefix else b""
        for path in self._target.paths(present.ino):
            if not path.startswith(prefix):
                continue
            try:
                other = os.lstat(self._source + path[len(prefix) :])
            except OSError:
                return False
            if (other.st_dev, other.st_ino) != key:
                return False
        return True

    def _has_same_content(self, place: Place, name: bytes, present: Inode) -> bool:
        large = LargeFile(name, place.descriptor)
        try:
            for part in large.parts():
                if part.digest != self._target.digest(present, part.number):
                    return False
        except DamageError:
            return False
        finally:
            large.close()
        return True

    def _take_others(self, frame: _Frame, listing: Listing) -> None:
        for name in listing.others:
            if not self._is_excluded(frame.place, name, is_directory=False):
                try:
                    self._take_other(frame, name)
                except (OSError, SourceError) as error:
                    what = describe(error) if isinstance(error, OSError) else str(error)
                    self._summary.fail(frame.place.path + name, what)
            if self._tick():
                raise StoppedError

    def _take_other(self, frame: _Frame, name: bytes) -> None:
        place, summary = frame.place, self._summary
        status = os.lstat(name, dir_fd=place.descriptor)
        if stat.S_IFMT(status.st_mode) in {stat.S_IFREG, stat.S_IFDIR}:
            raise SourceError(CHANGED)
        present = self._make_way(frame, name, status)
        if stat.S_ISLNK(status.st_mode):
            summary.symlinks += 1
        else:
            summary.special += 1
        key = (status.st_dev, status.st_ino)
        known = self._links.get(*key) if status.st_nlink > 1 else None
        if known is not None:
            self._carrier.link(place, name, known, present)
            return
        xattrs = read_xattrs(_path(place, name))
        if present is not None and self._is_same_other(place, name, status, present):
            ino = present.ino
            if self._carrier.touch_up(present, status, xattrs, times=False):
                summary.attributes += 1
        else:
            ino = self._carrier.other(place, name, status, xattrs, present)
        if status.st_nlink > 1:
            self._links.put(*key, Known(ino, present is None or ino != present.ino))

    def _is_same_other(
        self, place: Place, name: bytes, status: os.stat_result, present: Inode
    ) -> bool:
        if stat.S_IFMT(present.mode) != stat.S_IFMT(status.st_mode):
            return False
        if present.nlink > 1 and (status.st_nlink == 1 or self._links.is_taken(present.ino)):
            return False
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=place.descriptor) == present.target
        return present.rdev == status.st_rdev


def _path(place: Place, name: bytes) -> bytes:
    """Return a path to a name, for calls that take no directory's descriptor."""
    return b"/proc/self/fd/%d/%s" % (place.descriptor, name)
