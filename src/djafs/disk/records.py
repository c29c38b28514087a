"""The records of the lookup log, one class for each ``op`` (docs/formats/lookup-log.md).

A record says what changed, in terms that can be replayed: inode numbers, names, and where
content lies. Times are integer nanoseconds since the epoch. Names and symlink targets are bytes
on the mount and text here: see :func:`text_of`.
"""

from __future__ import annotations

import msgspec


def text_of(name: bytes) -> str:
    """Return ``name`` as text that JSON can carry, exactly.

    UTF-8 is itself; every byte that is not becomes NUL and two hex digits (no name holds a NUL).
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        escaped = name.decode("utf-8", "surrogateescape")
        return "".join(
            f"\0{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in escaped
        )


def bytes_of(text: str) -> bytes:
    """Return the name that :func:`text_of` turned into ``text``.

    Raises ValueError for text that it never makes.
    """
    if "\0" not in text:
        return text.encode()
    first, *escaped = text.split("\0")
    return first.encode() + b"".join(
        bytes.fromhex(part[:2]) + part[2:].encode() for part in escaped
    )


class Record(msgspec.Struct, tag_field="op", tag=str.lower, omit_defaults=True, gc=False):
    """What every record begins with: its number, without gaps, and its recorded time."""

    seq: int
    t: int


class Segment(Record, kw_only=True):
    """First line of a segment: which store, which segment, and the chain it goes on from."""

    format: int
    store: str
    number: int
    chain: int


class Mount(Record, kw_only=True):
    """A daemon took the store: inodes without a name were let go."""

    version: str


class Sync(Record):
    """Everything up to and with record ``upto``, content included, is durable."""

    upto: int


class Create(Record):
    """A new inode ``ino`` and its first name. ``mode`` carries the file type.

    With ``mtime`` it was *brought in* (djafs convert): it has its own times from the beginning,
    and those of its directory stay as they are.
    """

    dir: int
    name: str
    ino: int
    mode: int
    uid: int
    gid: int
    rdev: int = 0
    target: str | None = None  # of a symlink
    mtime: int | None = None
    atime: int | None = None  # absent: as mtime
    replace: bool = False  # what had the name loses it, as in a rename


class File(Record):
    """A regular file that was brought in whole (djafs convert): a new inode and its first name.

    Stands for Create, Write and Setattr in one version; its directory keeps its times. The
    content of a file of one part is ``cid`` (0: nothing but a hole); with ``sha256`` that content
    is new, and lies at ``at`` of archive ``arc``. A larger file has a content for each of its
    ``parts``.
    """

    dir: int
    name: str
    ino: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    atime: int | None = None  # absent: as mtime
    cid: int = 0
    sha256: str | None = None
    arc: int = 0
    at: int = 0
    parts: list[int] | None = None
    replace: bool = False  # what had the name loses it, as in a rename


class Write(Record):
    """``len`` bytes at ``off`` of the inode are the run at ``at`` of hot segment ``seg``."""

    ino: int
    off: int
    len: int
    seg: int
    at: int
    crc: list[int]  # CRC-32 of each 64 KiB of the run
    mode: int | None = None  # when set-user-ID or set-group-ID was cleared


class Setattr(Record):
    """Attributes that were set; ``size`` cuts or extends, ``mtime == t`` means "now"."""

    ino: int
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime: int | None = None
    mtime: int | None = None


class Punch(Record):
    """``len`` bytes at ``off`` became a hole; the size is ``size`` afterwards."""

    ino: int
    off: int
    len: int
    size: int


class Clone(Record):
    """``len`` bytes at ``off`` of ``src`` also stand at ``to`` of ``ino``."""

    ino: int
    to: int
    src: int
    off: int
    len: int


class Setxattr(Record):
    """An extended attribute; ``value`` is base64, absent when it was removed."""

    ino: int
    name: str
    value: bytes | None = None


class Link(Record):
    """A further name of an inode.

    One that was ``brought`` in with it (djafs convert) is as old as the inode's version, and the
    times of inode and directory stay as they are.
    """

    ino: int
    dir: int
    name: str
    replace: bool = False  # what had the name loses it, as in a rename
    brought: bool = False


class Unlink(Record):
    """A name that is gone; with ``effective`` (djafs convert), since that time."""

    dir: int
    name: str
    effective: int | None = None


class Rmdir(Record):
    """A directory's name that is gone."""

    dir: int
    name: str


class Rename(Record):
    """``name`` in ``dir`` became ``as_`` in ``to``; with ``exchange`` they changed places."""

    dir: int
    name: str
    to: int
    as_: str = msgspec.field(name="as")
    exchange: bool = False


class Archive(Record):
    """Archive ``arc`` is complete under its name."""

    arc: int
    members: int
    bytes: int


class Content(Record):
    """Content ``cid`` is ``len`` bytes at ``at`` of the tar in archive ``arc``.

    In archive 0 it is lost (:mod:`djafs.disk.lost`), until another record says where it is.
    """

    cid: int
    sha256: str
    arc: int
    at: int
    len: int


class Pack(Record):
    """Hot extents of one part of an inode, in all its versions, became content ``cid``.

    ``src`` lists which: (offset in the content, segment, offset in the segment, length). Absent,
    it is every hot extent that the part has now, at its own offset. With ``cut`` (a repair) also
    what an extent has beside other bytes is moved; else only whole extents are.
    """

    ino: int
    cid: int
    part: int = 0
    src: list[tuple[int, int, int, int]] | None = None
    cut: bool = False


class Move(Record):
    """Content ``cid`` now lies at ``at`` of archive ``arc``; in archive 0 it is lost."""

    cid: int
    arc: int
    at: int


class Forget(Record):
    """Content that nothing can reach any more."""

    cid: int


class Drop(Record):
    """Archive ``arc`` holds nothing that is needed, and goes."""

    arc: int


class Sweep(Record):
    """History of inodes ``first`` to ``last`` that no snapshot shows any more is let go."""

    first: int
    last: int


AnyRecord = (
    Segment | Mount | Sync | Create | File | Write | Setattr | Punch | Clone | Setxattr | Link
    | Unlink | Rmdir | Rename | Archive | Content | Pack | Move | Forget | Drop | Sweep
)  # fmt: skip

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(AnyRecord).decode

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
"""What :func:`decode` raises for a line that is no record."""
