"""Whether a record of the log is one that djafs could have written there.

The daemon decides what is allowed before it logs it; a log that is replayed may have been made by
somebody else. What gets through here leads neither out of the tree nor round in circles, and no
number in it is larger than what it is kept in.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any

from djafs.disk import hot_log, records, sqlite
from djafs.disk.index import DEPTH
from djafs.disk.records import bytes_of
from djafs.extents import CHUNK
from djafs.model import LIVE_ROOT
from djafs.store.tree import Tree

NAME_MAX = 255
TARGET_MAX = 4095
SIZE_MAX = (1 << 63) - 1
TIME_MAX = 1 << 62
SET_TIME_MAX = (1 << 63) - 1
NUMBER_MAX = 1 << 53
ID_MAX = (1 << 32) - 1

_NO_NUMBER = "a number is out of range"

MISFITS = (
    KeyError, ValueError, TypeError, OverflowError, AssertionError, IndexError,
    sqlite.ConstraintError,
)  # fmt: skip
"""What goes wrong when a record does not fit what is before it."""


class Plausible:
    """Checks records against the tree as it is before them.

    A log is mostly new files: for these no message is made, and nothing called, without need.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._checks: dict[type[records.Record], Callable[[Any], None]] = {
            records.Create: self._create,
            records.File: self._file,
            records.Write: self._write,
            records.Setattr: self._setattr,
            records.Punch: self._punch,
            records.Clone: self._clone,
            records.Setxattr: self._setxattr,
            records.Link: self._link,
            records.Unlink: self._unlink,
            records.Rmdir: self._unlink,
            records.Rename: self._rename,
            records.Archive: self._archive,
            records.Content: self._content,
            records.Pack: self._pack,
            records.Move: self._move,
        }

    def check(self, record: records.Record) -> None:
        """Raise ValueError or KeyError for a record that nobody logs."""
        if not -TIME_MAX < record.t < TIME_MAX:
            raise ValueError("its time is out of range")
        check = self._checks.get(type(record))
        if check is not None:
            check(record)

    # What records refer to

    def _directory(self, ino: int) -> None:
        inode = self._tree.inode(ino)
        if inode is None or not inode.is_directory:
            raise ValueError(f"{ino} is no directory")

    def _regular(self, ino: int) -> None:
        inode = self._tree.inode(ino)
        _need(inode is not None and inode.is_regular, f"{ino} is no regular file")

    def _place(self, directory: int, name: str, replace: bool = False) -> None:
        """Check the place of a new name."""
        self._directory(directory)
        raw = _name(name)
        there = self._tree.dentry(directory, raw)
        if there is not None:
            _need(replace, f"{raw!r} is there already")
            inode = self._tree.inode(there.ino)
            _need(inode is not None and not inode.entries, f"{raw!r} is not empty")

    def _new_inode(self, ino: int, mode: int, uid: int, gid: int) -> None:
        if not LIVE_ROOT <= ino < NUMBER_MAX:
            raise ValueError("its inode number is out of range")
        # Numbers count up: what has not been given yet need not be looked for.
        if ino < self._tree.next_ino and self._tree.inode(ino) is not None:
            raise ValueError(f"inode {ino} is there already")
        if not 0 <= mode < 1 << 16 or not stat.S_IFMT(mode):
            raise ValueError("its mode is none")
        if not (0 <= uid <= ID_MAX and 0 <= gid <= ID_MAX):
            raise ValueError("its owner is none")

    # Records

    def _create(self, record: records.Create) -> None:
        self._new_inode(record.ino, record.mode, record.uid, record.gid)
        _need(0 <= record.rdev <= ID_MAX, "its device is none")
        _time(record.mtime)
        _time(record.atime)
        if record.name:
            self._place(record.dir, record.name, record.replace)
        else:
            wanted = stat.S_IFDIR if record.ino == LIVE_ROOT else stat.S_IFREG
            _need(stat.S_IFMT(record.mode) == wanted, "it has no name")
        if record.target is not None:
            target = bytes_of(record.target)
            _need(0 < len(target) <= TARGET_MAX and b"\0" not in target, "its target is none")

    def _file(self, record: records.File) -> None:
        self._new_inode(record.ino, record.mode, record.uid, record.gid)
        if not stat.S_ISREG(record.mode):
            raise ValueError("it is no regular file")
        _range(0, record.size)
        _time(record.mtime)
        _time(record.atime)
        self._place(record.dir, record.name, record.replace)
        _digest(record.sha256)
        numbers = (record.cid, record.arc, record.at, *(record.parts or ()))
        if not 0 <= min(numbers) <= max(numbers) < NUMBER_MAX:
            raise ValueError(_NO_NUMBER)

    def _write(self, record: records.Write) -> None:
        self._regular(record.ino)
        _range(record.off, record.len)
        check_run(record)
        _need(record.mode is None or stat.S_ISREG(record.mode), "its mode is none")

    def _setattr(self, record: records.Setattr) -> None:
        inode = self._tree.inode(record.ino)
        _need(inode is not None, f"inode {record.ino} is not there")
        assert inode is not None
        if record.mode is not None:
            same = stat.S_IFMT(record.mode) == stat.S_IFMT(inode.mode)
            _need(same and 0 <= record.mode < 1 << 16, "its mode is none")
        for owner in (record.uid, record.gid):
            _need(owner is None or 0 <= owner <= ID_MAX, "its owner is none")
        if record.size is not None:
            self._regular(record.ino)
            _range(0, record.size)
        _time(record.mtime)
        _time(record.atime)

    def _punch(self, record: records.Punch) -> None:
        self._regular(record.ino)
        _range(record.off, record.len)
        _range(0, record.size)

    def _clone(self, record: records.Clone) -> None:
        self._regular(record.src)
        self._regular(record.ino)
        _range(record.off, record.len)
        _range(record.to, record.len)

    def _setxattr(self, record: records.Setxattr) -> None:
        name = bytes_of(record.name)
        _need(0 < len(name) <= NAME_MAX and b"\0" not in name, f"{name[:300]!r} is no name")

    def _link(self, record: records.Link) -> None:
        inode = self._tree.inode(record.ino)
        _need(inode is not None and not inode.is_directory, f"{record.ino} cannot be linked")
        self._place(record.dir, record.name, record.replace)

    def _unlink(self, record: records.Unlink | records.Rmdir) -> None:
        dentry = self._tree.dentry(record.dir, bytes_of(record.name))
        inode = self._tree.inode(dentry.ino) if dentry else None
        fine = inode is not None and not inode.entries
        _need(fine, f"{record.name!r} cannot be removed")

    def _rename(self, record: records.Rename) -> None:
        self._directory(record.dir)
        moved = self._tree.dentry(record.dir, bytes_of(record.name))
        _need(moved is not None, f"{record.name!r} is not there")
        assert moved is not None
        self._outside(record.to, moved.ino)
        if not record.exchange:
            self._place(record.to, record.as_, replace=True)
            return
        other = self._tree.dentry(record.to, _name(record.as_))
        _need(other is not None, f"{record.as_!r} is not there")
        assert other is not None
        self._outside(record.dir, other.ino)

    def _outside(self, directory: int, ino: int) -> None:
        """Check that a directory is not ``ino`` or below it (and that it has a way to the root)."""
        self._directory(directory)
        for _ in range(DEPTH):
            if directory == LIVE_ROOT:
                return
            inode = self._tree.inode(directory)
            _need(inode is not None and directory != ino, "a directory would lie in itself")
            assert inode is not None
            directory = inode.parent
        raise ValueError("directories go round in circles")

    def _archive(self, record: records.Archive) -> None:
        for number in (record.arc, record.members, record.bytes):
            _number(number)

    def _content(self, record: records.Content) -> None:
        for number in (record.cid, record.arc, record.at, record.len):
            _number(number)
        _digest(record.sha256)

    def _pack(self, record: records.Pack) -> None:
        _number(record.cid)
        _number(record.part)
        for run in record.src or ():
            for number in run:
                _number(number)

    def _move(self, record: records.Move) -> None:
        for number in (record.cid, record.arc, record.at):
            _number(number)


def check_run(record: records.Write) -> None:
    """Raise ValueError for a run of bytes that no hot segment can hold."""
    _need(0 < record.seg < NUMBER_MAX, "there is no such segment")
    fits = record.at >= 0 and 0 < record.len <= hot_log.SEGMENT
    _need(fits and record.at + record.len <= 2 * hot_log.SEGMENT, "its run is in no segment")
    _need(len(record.crc) == -(-record.len // CHUNK), "its checksums are not as many")
    _need(all(0 <= crc < 1 << 32 for crc in record.crc), "a checksum is none")


def _need(fine: bool, what: str) -> None:
    if not fine:
        raise ValueError(what)


def _name(text: str) -> bytes:
    name = bytes_of(text)
    fine = 0 < len(name) <= NAME_MAX and b"/" not in name and b"\0" not in name
    if not fine or name in (b".", b".."):
        raise ValueError(f"{name[:300]!r} is no name")
    return name


def _range(offset: int, length: int) -> None:
    if offset < 0 or length < 0 or offset + length > SIZE_MAX:
        raise ValueError("its size is out of range")


def _time(t: int | None) -> None:
    """Check a time that a program has set: any that can be kept."""
    if t is not None and not -SET_TIME_MAX <= t <= SET_TIME_MAX:
        raise ValueError("its time is out of range")


def _number(number: int) -> None:
    _need(0 <= number < NUMBER_MAX, _NO_NUMBER)


def _digest(sha256: str | None) -> None:
    if sha256 is not None and len(bytes.fromhex(sha256)) != 32:
        raise ValueError("its SHA-256 is none")
