"""A passthrough filesystem on pyfuse3 and trio: the peer that shows what a Python binding costs.

    python passthrough_pyfuse3.py SOURCE MOUNTPOINT [TIMEOUT]

It keeps to what libfuse's ``passthrough_ll`` does, so that the two differ in the language alone:
one ``O_PATH`` descriptor for each inode that the kernel knows, operations on these descriptors,
entries and attributes valid for one second, pages dropped at open. Where there was a choice it
took the cheaper one: inodes are found in a dictionary (passthrough_ll walks a list), FLUSH and
xattrs are left out (the kernel asks once, and never again).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

import pyfuse3
import trio

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def failure(error: OSError) -> pyfuse3.FUSEError:
    """Turn a failed system call into the answer for the kernel."""
    return pyfuse3.FUSEError(error.errno or errno.EIO)


class Inode:
    """An inode that the kernel knows: a descriptor for it, and how often it was handed out."""

    __slots__ = ("fd", "lookups")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lookups = 0

    @property
    def path(self) -> str:
        """A path that reaches the inode, for calls that do not take an ``O_PATH`` descriptor."""
        return f"/proc/self/fd/{self.fd}"


class Passthrough(pyfuse3.Operations):
    """Hands every operation on to the directory tree under *source*."""

    def __init__(self, source: str, timeout: float) -> None:
        super().__init__()
        self.timeout = timeout
        root = Inode(os.open(source, os.O_PATH | os.O_CLOEXEC))
        root.lookups = 1
        self.device = os.stat(root.fd).st_dev
        self.inodes: dict[int, Inode] = {pyfuse3.ROOT_INODE: root}
        self.listings: dict[int, tuple[int, list[bytes]]] = {}
        self.next_listing = count(1)

    # Attributes

    def attributes(self, st: os.stat_result) -> pyfuse3.EntryAttributes:
        """Put the result of a stat into pyfuse3's form."""
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = st.st_ino
        entry.st_mode = st.st_mode
        entry.st_nlink = st.st_nlink
        entry.st_uid = st.st_uid
        entry.st_gid = st.st_gid
        entry.st_rdev = st.st_rdev
        entry.st_size = st.st_size
        entry.st_blksize = st.st_blksize
        entry.st_blocks = st.st_blocks
        entry.st_atime_ns = st.st_atime_ns
        entry.st_mtime_ns = st.st_mtime_ns
        entry.st_ctime_ns = st.st_ctime_ns
        entry.entry_timeout = self.timeout
        entry.attr_timeout = self.timeout
        return entry

    def enter(self, parent: int, name: bytes) -> pyfuse3.EntryAttributes:
        """Look a name up and count the reference that the kernel gets with the answer."""
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=self.inodes[parent].fd)
        st = os.stat(fd)
        known = self.inodes.get(st.st_ino)
        if known is None:
            if st.st_dev != self.device:
                os.close(fd)
                raise OSError(errno.EXDEV, "another filesystem is mounted below the source")
            known = self.inodes[st.st_ino] = Inode(fd)
        else:
            os.close(fd)
        known.lookups += 1
        return self.attributes(st)

    async def lookup(
        self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        try:
            return self.enter(parent_inode, name)
        except OSError as error:
            raise failure(error) from None

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for number, lookups in inode_list:
            inode = self.inodes[number]
            inode.lookups -= lookups
            if inode.lookups <= 0 and number != pyfuse3.ROOT_INODE:
                os.close(inode.fd)
                del self.inodes[number]

    async def getattr(self, inode: int, ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        try:
            return self.attributes(os.stat(self.inodes[inode].fd))
        except OSError as error:
            raise failure(error) from None

    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: pyfuse3.RequestContext,
    ) -> pyfuse3.EntryAttributes:
        node = self.inodes[inode]
        where: Any = node.path if fh is None else fh
        try:
            before = os.stat(node.fd)
            if fields.update_mode:
                os.chmod(where, stat.S_IMODE(attr.st_mode))
            if fields.update_uid or fields.update_gid:
                uid = attr.st_uid if fields.update_uid else -1
                gid = attr.st_gid if fields.update_gid else -1
                self.chown(node, uid, gid)
            if fields.update_size:
                os.truncate(where, attr.st_size)
            if fields.update_atime or fields.update_mtime:
                times = (
                    attr.st_atime_ns if fields.update_atime else before.st_atime_ns,
                    attr.st_mtime_ns if fields.update_mtime else before.st_mtime_ns,
                )
                if stat.S_ISLNK(before.st_mode):
                    raise OSError(errno.EOPNOTSUPP, "times of a symlink")
                os.utime(where, ns=times)
            return self.attributes(os.stat(node.fd))
        except OSError as error:
            raise failure(error) from None

    @staticmethod
    def chown(node: Inode, uid: int, gid: int) -> None:
        """Change the owner of anything but a symlink, which has no path to reach it by."""
        if stat.S_ISLNK(os.stat(node.fd).st_mode):
            raise OSError(errno.EOPNOTSUPP, "owner of a symlink")
        os.chown(node.path, uid, gid)

    async def readlink(self, inode: int, ctx: pyfuse3.RequestContext) -> bytes:
        try:
            return os.readlink(b"", dir_fd=self.inodes[inode].fd)
        except OSError as error:
            raise failure(error) from None

    # Names

    async def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        try:
            os.mknod(name, mode, rdev, dir_fd=self.inodes[parent_inode].fd)
            return self.enter(parent_inode, name)
        except OSError as error:
            raise failure(error) from None

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        try:
            os.mkdir(name, mode, dir_fd=self.inodes[parent_inode].fd)
            return self.enter(parent_inode, name)
        except OSError as error:
            raise failure(error) from None

    async def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        try:
            os.symlink(target, name, dir_fd=self.inodes[parent_inode].fd)
            return self.enter(parent_inode, name)
        except OSError as error:
            raise failure(error) from None

    async def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        try:
            os.link(self.inodes[inode].path, new_name, dst_dir_fd=self.inodes[new_parent_inode].fd)
            return self.enter(new_parent_inode, new_name)
        except OSError as error:
            raise failure(error) from None

    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: pyfuse3.RequestContext,
    ) -> None:
        if flags:
            raise pyfuse3.FUSEError(errno.EINVAL)
        try:
            os.rename(
                name_old,
                name_new,
                src_dir_fd=self.inodes[parent_inode_old].fd,
                dst_dir_fd=self.inodes[parent_inode_new].fd,
            )
        except OSError as error:
            raise failure(error) from None

    async def unlink(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        try:
            os.unlink(name, dir_fd=self.inodes[parent_inode].fd)
        except OSError as error:
            raise failure(error) from None

    async def rmdir(self, parent_inode: int, name: bytes, ctx: pyfuse3.RequestContext) -> None:
        try:
            os.rmdir(name, dir_fd=self.inodes[parent_inode].fd)
        except OSError as error:
            raise failure(error) from None

    # Content

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: pyfuse3.RequestContext
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        flags = (flags | os.O_CREAT | os.O_CLOEXEC) & ~os.O_NOFOLLOW
        try:
            fd = os.open(name, flags, mode, dir_fd=self.inodes[parent_inode].fd)
            return pyfuse3.FileInfo(fh=fd), self.enter(parent_inode, name)
        except OSError as error:
            raise failure(error) from None

    async def open(self, inode: int, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        try:
            flags = (flags | os.O_CLOEXEC) & ~os.O_NOFOLLOW
            return pyfuse3.FileInfo(fh=os.open(self.inodes[inode].path, flags))
        except OSError as error:
            raise failure(error) from None

    async def read(self, fh: int, off: int, size: int) -> bytes:
        try:
            return os.pread(fh, size, off)
        except OSError as error:
            raise failure(error) from None

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        try:
            return os.pwrite(fh, buf, off)
        except OSError as error:
            raise failure(error) from None

    async def fsync(self, fh: int, datasync: bool) -> None:
        try:
            (os.fdatasync if datasync else os.fsync)(fh)
        except OSError as error:
            raise failure(error) from None

    async def release(self, fh: int) -> None:
        with contextlib.suppress(OSError):
            os.close(fh)

    # Directories

    async def opendir(self, inode: int, ctx: pyfuse3.RequestContext) -> int:
        try:
            fd = os.open(self.inodes[inode].path, DIRECTORY_FLAGS)
            try:
                names = [os.fsencode(name) for name in os.listdir(fd)]
            finally:
                os.close(fd)
        except OSError as error:
            raise failure(error) from None
        listing = next(self.next_listing)
        self.listings[listing] = (inode, names)
        return listing

    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        parent, names = self.listings[fh]
        for position in range(start_id, len(names)):
            try:
                attributes = self.enter(parent, names[position])
            except OSError:
                continue  # gone since the directory was opened
            if not pyfuse3.readdir_reply(token, names[position], attributes, position + 1):
                await self.forget([(attributes.st_ino, 1)])
                return

    async def releasedir(self, fh: int) -> None:
        del self.listings[fh]

    async def statfs(self, ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        answer = pyfuse3.StatvfsData()
        found = os.statvfs(self.inodes[pyfuse3.ROOT_INODE].fd)
        for field in (
            "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree",
            "f_favail", "f_namemax",
        ):  # fmt: skip
            setattr(answer, field, getattr(found, field))
        return answer


def main() -> None:
    """Serve until unmounted."""
    source, mountpoint = sys.argv[1:3]
    timeout = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    os.umask(0)
    options = set(pyfuse3.default_options) | {"fsname=passthrough_pyfuse3"}
    pyfuse3.init(Passthrough(source, timeout), mountpoint, options)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close()


if __name__ == "__main__":
    main()
