"""What archives hold, found by another process while this one reads the log.

Inflating and hashing is as much work as a good part of the log, and needs nothing of it. The other
process (``scan_worker``) leaves a file for each archive that is whole: all members, as
:data:`MEMBER`, and a :class:`Whole`. An archive without one is read here, so that what is wrong
with it is found, and told, in one place.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from djafs.disk.archive_scan import ScannedMember
from djafs.disk.layout import Layout
from djafs.packing.packer import start

WORTH = 2 << 20
"""Bytes of archives for which another process is worth its start, which takes about 0.1 s."""

MEMBER = struct.Struct("=QQ32s")
"""Of a member: where its content begins in the tar, its size, its SHA-256."""

NUMBER = struct.Struct("=Q")
"""The number of an archive that is done."""

_WHOLE = struct.Struct("=QQQ64sQQQ")


class Whole(NamedTuple):
    """What an archive is that is whole, and which file that was."""

    size: int  # bytes of the file
    tar_size: int
    frames: int
    sha256: bytes  # of the file, in hexadecimal digits
    device: int
    inode: int
    changed: int  # time of the last change of the file, in nanoseconds

    def packed(self) -> bytes:
        """Return it as it ends a file."""
        return _WHOLE.pack(*self)


def stamp_of(archive: str) -> tuple[int, int, int]:
    """Return what tells a file from another one, and from what it becomes (raises OSError)."""
    status = os.lstat(archive)
    return status.st_dev, status.st_ino, status.st_ctime_ns


def path_of(directory: str, number: int) -> str:
    """Return where the members of an archive are listed."""
    return os.path.join(directory, str(number))


class Scanned:
    """An archive that is whole; iterate over it for its members, which have no names here."""

    def __init__(self, whole: Whole, members: memoryview) -> None:
        self.size, self.tar_size, self.frames = whole.size, whole.tar_size, whole.frames
        self.file_digest = whole.sha256.decode()
        self.members = members

    def __iter__(self) -> Iterator[ScannedMember]:
        for at, size, digest in MEMBER.iter_unpack(self.members):
            yield ScannedMember(b"", at, size, digest)


class Scans:
    """Gives what another process has found; there is none where it would not be worth it."""

    def __init__(self, layout: Layout, directory: str) -> None:
        """Start it; ``directory``, which it makes, is for its findings."""
        self._layout = layout
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._done = 0  # the archives up to here
        if len(os.sched_getaffinity(0)) < 2 or not _is_worth_it(layout):
            return
        os.mkdir(directory)
        worker = [sys.executable, "-m", "djafs.tools.validation.scan_worker"]
        # What it cannot do is done here: what it says about that is of no use.
        self._process = start(
            [*worker, os.path.abspath(layout.root), directory],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def of(self, number: int) -> Scanned | None:
        """Return what an archive holds, waiting for it; None if it has to be read here.

        Archives are asked for in the order of their numbers, each once.
        """
        self._wait(number)
        path = path_of(self._directory, number)
        try:
            with open(path, "rb") as file:
                found = memoryview(file.read())
            os.unlink(path)
            whole = Whole._make(_WHOLE.unpack(found[-_WHOLE.size :]))
            # A list that was cut off ends in no stamp of any file.
            if stamp_of(self._layout.archive(number)) != whole[-3:]:
                return None
        except (OSError, struct.error):
            return None
        return Scanned(whole, found[: -_WHOLE.size])

    def _wait(self, number: int) -> None:
        if self._process is None:
            return
        assert self._process.stdout is not None
        while self._done < number:
            done = self._process.stdout.read(NUMBER.size)
            if len(done or b"") < NUMBER.size:
                self.close()
                return
            (self._done,) = NUMBER.unpack(done)

    def close(self) -> None:
        """End the other process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _is_worth_it(layout: Layout) -> bool:
    size = 0
    try:
        with os.scandir(layout.archives) as entries:
            for entry in entries:
                size += entry.stat(follow_symlinks=False).st_size
                if size >= WORTH:
                    return True
    except OSError:
        pass  # whatever it is, it is found again where it is told
    return False
