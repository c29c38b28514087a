"""A tree as a tar: POSIX.1-2001 (pax), with nanoseconds, extended attributes and hard links."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO

from djafs.errors import DamageError
from djafs.extents import PART
from djafs.model import Inode
from djafs.tools.export.summary import ExportSummary, Tick, stopping
from djafs.tools.export.view import View
from djafs.tools.export.walk import Item, Left, walk

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


def write_tar(view: View, output: IO[bytes], summary: ExportSummary, tick: Tick) -> None:
    """Write a tree to ``output``; what cannot be written is in the summary."""
    with tarfile.open(
        fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 18
    ) as archive:
        for item in walk(view):
            stopping(summary, tick)
            if isinstance(item, Left):
                continue
            info = _header(item)
            if info is None:
                summary.fail(item.path, "a tar cannot hold a socket")
            elif info.type == tarfile.REGTYPE:
                _write_file(view, archive, info, item, summary)
            else:
                archive.addfile(info)
                summary.count(item.inode, link=item.first is not None)


def _write_file(
    view: View, archive: tarfile.TarFile, info: tarfile.TarInfo, item: Item, summary: ExportSummary
) -> None:
    """Write a regular file, once it is known that all of it can be read."""
    state = item.inode
    try:
        if state.size <= PART:
            data = view.contents.whole(state, 0) if state.size else b""
            archive.addfile(info, _Chunks(iter((data,))))  # type: ignore[arg-type]
        else:
            view.contents.check(state)
            archive.addfile(info, _Chunks(view.contents.chunks(state)))  # type: ignore[arg-type]
    except DamageError as error:
        summary.fail(item.path, str(error))
        return
    summary.count(state, link=False)


class _Chunks:
    """What tarfile reads a content from: hands on pieces as they come."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes, less at the end."""
        found = []
        while size:
            if not self._rest:
                chunk = next(self._chunks, b"")
                if not chunk:
                    break
                self._rest = memoryview(chunk)
            found.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(found[-1])
        return b"".join(found)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _header(item: Item) -> tarfile.TarInfo | None:
    state = item.inode
    kind = _TYPES.get(stat.S_IFMT(state.mode))
    if kind is None:
        return None
    info = tarfile.TarInfo(_text(item.path) or ".")
    info.type = kind
    info.mode = stat.S_IMODE(state.mode)
    info.uid, info.gid = state.uid, state.gid
    info.mtime = max(state.mtime // 10**9, 0)
    info.pax_headers = _pax(state)
    if item.first is not None:
        info.type = tarfile.LNKTYPE
        info.linkname = _text(item.first)
    elif kind == tarfile.SYMTYPE:
        info.linkname = _text(state.target or b"")
    elif kind == tarfile.REGTYPE:
        info.size = state.size
    elif kind in {tarfile.CHRTYPE, tarfile.BLKTYPE}:
        info.devmajor, info.devminor = _device(state.rdev)
    return info


def _device(rdev: int) -> tuple[int, int]:
    return os.major(rdev), os.minor(rdev)


def _pax(state: Inode) -> dict[str, str]:
    """Return what ustar has no room for."""
    found: dict[str, str] = {}
    if state.mtime % 10**9 or state.mtime < 0:
        found["mtime"] = _seconds(state.mtime)
    for name, value in (state.xattrs or {}).items():
        found[_Keyword("SCHILY.xattr." + _text(name))] = _text(value)
    return found


class _Keyword(str):
    """A keyword of a pax header in bytes that need not be UTF-8, as GNU tar writes it."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the bytes; tarfile itself would refuse them."""
        return super().encode(encoding, "surrogateescape")


def _seconds(nanoseconds: int) -> str:
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{sign}{seconds}.{fraction:09d}"
