"""A tree as a directory: every file under another name until it is whole."""

from __future__ import annotations

import errno
import os
import stat

from djafs.errors import DamageError
from djafs.model import Inode
from djafs.tools.export.summary import ExportSummary, Tick, stopping
from djafs.tools.export.view import View
from djafs.tools.export.walk import Item, Left, walk

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_directory(view: View, output: str, summary: ExportSummary, tick: Tick) -> None:
    """Write a tree into the empty directory ``output``; the summary says what cannot be."""
    top = os.open(output, _DIRECTORY & ~os.O_NOFOLLOW)
    writer = _Writer(view, top, summary)
    try:
        for item in walk(view):
            stopping(summary, tick)
            if isinstance(item, Left):
                writer.leave(item)
            elif item.path:
                writer.write(item)
    finally:
        writer.close()


class _Writer:
    def __init__(self, view: View, top: int, summary: ExportSummary) -> None:
        self._view = view
        self._summary = summary
        self._open = [top]  # directories from the top to the one being filled
        self._skipped = 0  # directories that could not be made, and those in them
        self._is_root = os.geteuid() == 0

    def close(self) -> None:
        """Close the directories that are open."""
        for descriptor in self._open:
            os.close(descriptor)

    def write(self, item: Item) -> None:
        """Write one name."""
        if self._skipped:
            self._skipped += item.inode.is_directory
            self._summary.fail(item.path, "its directory could not be made")
            return
        try:
            self._write(item)
        except DamageError as error:
            self._summary.fail(item.path, str(error))
            return
        except OSError as error:
            self._summary.fail(item.path, f"cannot be written: {error.strerror}")
            self._skipped += item.inode.is_directory
            if item.inode.is_directory or error.errno not in _FULL:
                return
            raise
        self._summary.count(item.inode, link=item.first is not None)

    def _write(self, item: Item) -> None:
        inode, name, here = item.inode, item.name, self._open[-1]
        if item.first is not None:
            os.link(item.first, name, src_dir_fd=self._open[0], dst_dir_fd=here,
                    follow_symlinks=False)  # fmt: skip
            return
        if inode.is_directory:
            os.mkdir(name, 0o700, dir_fd=here)
            self._open.append(os.open(name, _DIRECTORY, dir_fd=here))
            return
        if inode.is_regular:
            self._write_file(inode, name, here)
            return
        if inode.target is not None:
            os.symlink(inode.target, name, dir_fd=here)
        else:
            os.mknod(name, inode.mode, inode.rdev, dir_fd=here)
        self._set_attributes(inode, b"/proc/self/fd/%d/%s" % (here, name), follow=False)

    def _write_file(self, inode: Inode, name: bytes, here: int) -> None:
        draft = b".djafs-export.%d" % inode.ino
        descriptor = os.open(draft, _NEW, 0o600, dir_fd=here)
        try:
            try:
                contents = self._view.contents
                for number in contents.parts(inode):
                    for offset, data in contents.part(inode, number):
                        _write_all(descriptor, data, offset)
                os.ftruncate(descriptor, inode.size)
                self._set_attributes(inode, descriptor)
            finally:
                os.close(descriptor)
            os.rename(draft, name, src_dir_fd=here, dst_dir_fd=here)
        except BaseException:
            os.unlink(draft, dir_fd=here)
            raise

    def leave(self, left: Left) -> None:
        """Give a directory its attributes, now that it is complete."""
        if self._skipped:
            self._skipped -= 1
            return
        descriptor = self._open[-1]
        try:
            self._set_attributes(left.inode, descriptor)
        except OSError as error:
            self._summary.fail(left.path, f"its attributes cannot be set: {error.strerror}")
        if left.path:
            os.close(self._open.pop())

    def _set_attributes(self, inode: Inode, place: int | bytes, *, follow: bool = True) -> None:
        """Set owner, mode, extended attributes and times, in the order that keeps them all."""
        if self._is_root:
            os.chown(place, inode.uid, inode.gid, follow_symlinks=follow)
        if not stat.S_ISLNK(inode.mode):
            os.chmod(place, stat.S_IMODE(inode.mode))
        for name, value in (inode.xattrs or {}).items():
            if self._is_root or name.startswith(b"user."):
                os.setxattr(place, name, value, follow_symlinks=follow)
        os.utime(place, ns=(inode.atime, inode.mtime), follow_symlinks=follow)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Nothing that follows would fit either."""
