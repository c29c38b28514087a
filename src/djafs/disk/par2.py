"""Reading files of the PAR2 format: packets, each with a checksum of its own.

After the Parity Volume Set Specification 2.0 (parchive.sourceforge.net), as far as recovery data
of one file needs it; docs/formats/archive.md says what djafs stores. Whoever wrote the file is not
trusted: nothing here needs more memory than a description of a file does, nor more time than
reading the file a few times, whatever its packets say.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from djafs.disk.host import no_follow

_MAGIC = b"PAR2\0PKT"
_HEAD = struct.Struct("<8sQ16s16s16s")  # magic, length, MD5 of what follows, set, type
_UNHASHED = 32  # bytes of the head before the set
_STEP = 1 << 20
_MOST_BODY = 1 << 20  # 32,768 checksums of blocks, and some more

_MAIN = b"PAR 2.0\0Main\0\0\0\0"
_FILE = b"PAR 2.0\0FileDesc"
_SUMS = b"PAR 2.0\0IFSC\0\0\0\0"
_RECOVERY = b"PAR 2.0\0RecvSlic"

BEGINNING = 16 << 10
"""Bytes at the beginning of a file that have an MD5 of their own."""


class Described(NamedTuple):
    """What recovery data says of the file that it is for."""

    set: bytes  # identifies what was described at one time
    name: bytes
    size: int  # bytes
    digest: bytes  # MD5 of all of it
    beginning: bytes  # MD5 of the first BEGINNING bytes
    block_size: int
    blocks: int


@dataclass
class Scanned:
    """What a PAR2 file holds."""

    problems: list[str] = field(default_factory=list)
    described: Described | None = None
    """None if it does not say, or not once and for all, which file it is for."""

    recovery: int = 0
    """Recovery blocks that are whole: as many blocks of the file can be replaced."""


class _Packet(NamedTuple):
    type: bytes
    set: bytes
    size: int  # of the body
    body: bytes  # the first bytes only, of what is longer than any description


def scan(path: str) -> Scanned:
    """Read the PAR2 file at ``path`` and verify every packet of it (raises OSError)."""
    found = Scanned()
    told: dict[bytes, set[_Packet]] = {}
    recovery: set[tuple[bytes, int, bytes]] = set()
    with open(path, "rb", opener=no_follow) as file:
        for packet in _packets(file, found.problems):
            if packet.type == _RECOVERY:
                recovery.add((packet.set, packet.size, packet.body[:4]))
            elif packet.type in (_MAIN, _FILE, _SUMS):
                told.setdefault(packet.type, set()).add(packet)
    described = found.described = _described(told)
    if described is None:
        found.problems.append("it does not say which file it is for")
        return found
    wanted = (described.set, described.block_size + 4)
    found.recovery = sum(block[:2] == wanted for block in recovery)
    if not found.recovery:
        found.problems.append("it has no recovery blocks")
    return found


def _packets(file: BinaryIO, problems: list[str]) -> Iterator[_Packet]:
    """Yield the packets that are whole; say where there is anything else."""
    size = os.fstat(file.fileno()).st_size
    at, patience = 0, 4 * size + _STEP
    while at < size:
        packet, read = _packet(file, at, size)
        if packet is not None:
            yield packet
            at += read
            continue
        patience -= read + _STEP // 256
        end = _next_magic(file, at + 1, size) if patience > 0 else size
        problems.append(f"at byte {at}: {end - at} bytes are no whole packet")
        at = end


def _packet(file: BinaryIO, at: int, size: int) -> tuple[_Packet | None, int]:
    """Return the packet at ``at``, None if none is whole there; and how many bytes were read."""
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None, len(head)
    magic, length, digest, set_, type_ = _HEAD.unpack(head)
    if magic != _MAGIC or not _HEAD.size <= length <= size - at or length % 4:
        return None, len(head)
    md5 = hashlib.md5(head[_UNHASHED:], usedforsecurity=False)
    left = length - _HEAD.size
    body = b""
    while left:
        more = file.read(min(left, _STEP))
        if not more:  # it was cut off meanwhile
            break
        body = body or more[:_MOST_BODY]
        md5.update(more)
        left -= len(more)
    if md5.digest() != digest:
        return None, length
    return _Packet(type_, set_, length - _HEAD.size, body), length


def _next_magic(file: BinaryIO, at: int, size: int) -> int:
    """Return where the next packet may begin, ``size`` if nowhere."""
    while at < size:
        file.seek(at)
        piece = file.read(_STEP)
        place = piece.find(_MAGIC)
        if place >= 0:
            return at + place
        if len(piece) < len(_MAGIC):
            break
        at += len(piece) - len(_MAGIC) + 1
    return size


def _described(told: dict[bytes, set[_Packet]]) -> Described | None:
    """Join what the packets tell; None if one is missing, or if they tell of several files."""
    if any(len(told.get(type_, ())) != 1 for type_ in (_MAIN, _FILE, _SUMS)):
        return None
    main, file, sums = (next(iter(told[type_])) for type_ in (_MAIN, _FILE, _SUMS))
    if len({main.set, file.set, sums.set}) != 1 or len(main.body) != 28 or len(file.body) < 56:
        return None
    block_size, count = struct.unpack_from("<QI", main.body)
    (size,) = struct.unpack_from("<Q", file.body, 48)
    blocks = (sums.size - 16) // 20
    if count != 1 or not block_size or block_size % 4 or -(-size // block_size) != blocks:
        return None
    if len({main.body[12:28], file.body[:16], sums.body[:16]}) != 1:
        return None
    name = file.body[56:].rstrip(b"\0")
    return Described(main.set, name, size, file.body[16:32], file.body[32:48], block_size, blocks)
