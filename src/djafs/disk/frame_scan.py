"""What is left of an archive whose seek table is lost: whole frames, found by their headers.

Every frame says itself how much it inflates to and has a checksum (docs/formats/archive.md), so
that the table can be made again as long as all of them are there. Where some are not, the
members in the others are still found, but no longer where in the tar they were: they are known by
their SHA-256.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import zstandard

from djafs.disk import tar
from djafs.disk.archive_scan import MemberWalk, ScannedMember
from djafs.disk.seek_table import FRAME, MOST_COMPRESSED, encode

_MAGIC = b"\x28\xb5\x2f\xfd"
_GAP = 1 << 40
"""Between places of a tar that do not follow one another, as far as is known."""


class FoundFrame(NamedTuple):
    """A frame that is whole in itself."""

    offset: int  # in the file
    size: int  # in the file
    content: bytes  # what it inflates to
    checksum: int  # of that, as the frame has it


def find_frames(path: str) -> Iterator[FoundFrame]:
    """Yield every whole frame of a file, in order; what lies between them is passed over.

    What cannot be read is passed over too. Raises OSError if the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        size = os.fstat(descriptor).st_size
        offset = 0
        while offset < size:
            window = _read(descriptor, offset)
            found = _inflate(window) if window.startswith(_MAGIC) else None
            if found is not None:
                yield FoundFrame(offset, *found)
                offset += found[0]
                continue
            following = window.find(_MAGIC, 1)
            offset += following if following > 0 else max(len(window) - len(_MAGIC) + 1, 1)
    finally:
        os.close(descriptor)


def _read(descriptor: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, MOST_COMPRESSED, offset)
    except OSError:  # a bad sector: go on behind it
        return bytes(512)


def _inflate(window: bytes) -> tuple[int, bytes, int] | None:
    """Return the size of the frame at the beginning of ``window``, what is in it, its checksum."""
    try:
        stated = zstandard.get_frame_parameters(window)
        if not 0 < stated.content_size <= FRAME or not stated.has_checksum:
            return None
        # The frame ends where the decompressor stops.
        inflater = zstandard.ZstdDecompressor(max_window_size=1 << 23).decompressobj()
        content = inflater.decompress(window)
    except zstandard.ZstdError:
        return None
    if not inflater.eof or len(content) != stated.content_size:
        return None
    size = len(window) - len(inflater.unused_data)
    return size, content, int.from_bytes(window[size - 4 : size], "little")


def table_of(path: str) -> tuple[int, bytes] | None:
    """Return where the frames of an archive end, and the seal and seek table that belong there.

    None if the frames do not follow one another from the beginning of the file, so that some are
    missing. Whether they are all is for the caller to find out.
    """
    file_sizes, tar_sizes, checksums = array("I"), array("I"), array("I")
    end = 0
    for frame in find_frames(path):
        if frame.offset != end:
            return None
        end += frame.size
        file_sizes.append(frame.size)
        tar_sizes.append(len(frame.content))
        checksums.append(frame.checksum)
    return (end, encode(file_sizes, tar_sizes, checksums)) if end else None


class LooseArchive:
    """The whole frames of an archive, without a table; places are its own."""

    def __init__(self, path: str) -> None:
        """Find the frames (raises OSError)."""
        self.path = path
        self._begin = array("Q")  # of each frame, in places of this object
        self._offset = array("Q")  # of each frame, in the file
        self._size = array("Q")  # of each frame, in the file

    def __iter__(self) -> Iterator[ScannedMember]:
        """Yield every member that lies in frames which are whole and follow one another."""
        walk = MemberWalk(1 << 62)
        begin = end = 0
        for frame in find_frames(self.path):
            if frame.offset != end:
                begin += _GAP
                walk.lose(begin)
            self._begin.append(begin)
            self._offset.append(frame.offset)
            self._size.append(frame.size)
            try:
                yield from walk.feed(begin, frame.content)
            except tar.TarFormatError:
                walk.lose(begin + len(frame.content))
            begin += len(frame.content)
            end = frame.offset + frame.size

    def read(self, at: int, size: int) -> bytes:
        """Return the content of a member that was yielded (raises OSError, ZstdError)."""
        found = b""
        number = bisect_right(self._begin, at) - 1
        skip = at - self._begin[number]
        with open(self.path, "rb") as file:
            while len(found) < size:
                file.seek(self._offset[number])
                content = zstandard.ZstdDecompressor().decompress(
                    file.read(self._size[number]), max_output_size=FRAME
                )
                found += content[skip : skip + size - len(found)]
                skip = 0
                number += 1
        return found
