"""Tar headers: ustar, with pax records only where a name or a number needs them.

One header is built for each document packed, so the common one is a few joins of bytes; the
library's ``tarfile`` takes some 30 µs for it. Layout: POSIX.1-2017 pax(1), and "The tar" in
docs/formats/archive.md.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import adler32

BLOCK = 512
"""A tar is a sequence of blocks of this many bytes."""

END = bytes(2 * BLOCK)
"""What a tar ends with."""

PADDING = tuple(bytes(-size % BLOCK) for size in range(BLOCK))
"""The zeros after a content, by its size modulo :data:`BLOCK`."""

REGULAR = b"0"
"""The type of every member that djafs writes."""

PAX = b"x"
"""The type of the header whose content is pax records for the next member."""

# Fields in order: name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, linkname
# 100, magic and version 8, uname 32, gname 32, devmajor 8, devminor 8, prefix 155, zeros 12.
_NUMBERS = b"%07o\0%07o\0%07o\0%011o\0%011o\0"  # mode, uid, gid, size, mtime in seconds
_AFTER_TYPE = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x00" * 2
_SPACES = 8 * ord(" ")  # the checksum is computed with its own field blank
_AFTER_TYPE_SUM = sum(_AFTER_TYPE) + _SPACES
_AFTER_NAMES = 167
_WITHOUT_PREFIX = _AFTER_TYPE + bytes(_AFTER_NAMES)
_NAME = 100
_PREFIX = 155
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
_SLASH = ord("/")
_PAX_NAME = b"PaxHeaders/next"


class TarFormatError(ValueError):
    """A block that should be a tar header is none."""


class Entry(NamedTuple):
    """A regular file in a tar."""

    name: bytes
    size: int
    mtime_ns: int  # since 1970; a tar keeps whole seconds, rounded down
    mode: int  # permission bits; others are ignored
    uid: int
    gid: int


class Header(NamedTuple):
    """What a header block says, pax records not yet applied."""

    type: bytes
    name: bytes
    size: int


def padded(size: int) -> int:
    """Round ``size`` bytes up to whole blocks."""
    return (size + BLOCK - 1) & -BLOCK


def header(entry: Entry) -> bytes:
    """Build the header of a regular file: one block, or several where pax records are needed.

    Raises TarFormatError for a name that no tar can carry: empty, absolute, ending in a slash or
    holding a NUL.
    """
    name = entry.name
    if not name or name[0] == _SLASH or name[-1] == _SLASH or 0 in name:
        raise TarFormatError(f"not the name of a member: {name!r}")
    _, size, mtime_ns, mode, uid, gid = entry
    mtime = mtime_ns // 1_000_000_000
    if (
        len(name) <= _NAME
        and 0 <= uid <= _OCTAL_7
        and 0 <= gid <= _OCTAL_7
        and 0 <= mtime <= _OCTAL_11
        and 0 <= size <= _OCTAL_11
    ):
        return _block(name, _NUMBERS % (mode & 0o7777, uid, gid, size, mtime))
    return _long_header(entry, mtime)


def _long_header(entry: Entry, mtime: int) -> bytes:
    """Build a header whose name is cut in two, or that needs pax records."""
    prefix, tail, records = _split(entry.name)
    numbers = {b"uid": entry.uid, b"gid": entry.gid, b"size": entry.size, b"mtime": mtime}
    for key, value in numbers.items():
        if not 0 <= value <= (_OCTAL_11 if key in {b"size", b"mtime"} else _OCTAL_7):
            records += _record(key, b"%d" % value)
            numbers[key] = 0
    mode = entry.mode & 0o7777
    block = _block(tail, _NUMBERS % (mode, *numbers.values()), prefix)
    if not records:
        return block
    about = _NUMBERS % (0o644, 0, 0, len(records), numbers[b"mtime"])
    return _block(_PAX_NAME, about, kind=PAX) + records + PADDING[len(records) % BLOCK] + block


def _split(name: bytes) -> tuple[bytes, bytes, bytes]:
    """Cut a name into ustar's prefix and name, or give it pax records and a stand-in."""
    if len(name) <= _NAME:
        return b"", name, b""
    slash = name.find(b"/", len(name) - _NAME - 1, _PREFIX + 1)
    if slash > 0:
        return name[:slash], name[slash + 1 :], b""
    try:
        name.decode()
        charset = b""
    except UnicodeDecodeError:
        charset = _record(b"hdrcharset", b"BINARY")
    return b"", name[-_NAME:].lstrip(b"/"), charset + _record(b"path", name)


def _record(key: bytes, value: bytes) -> bytes:
    """Build one pax record: its own length in decimal, a space, ``key=value``, a newline."""
    rest = b" %s=%s\n" % (key, value)
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d%s" % (length, rest)


def _block(name: bytes, numbers: bytes, prefix: bytes = b"", kind: bytes = REGULAR) -> bytes:
    checksum = _sum(name) + _sum(numbers) + kind[0] + _AFTER_TYPE_SUM
    if not prefix:
        parts = (name.ljust(_NAME, b"\0"), numbers, checksum, kind, _WITHOUT_PREFIX)
        return b"%s%s%06o\0 %s%s" % parts
    checksum += _sum(prefix)
    tail = _AFTER_TYPE + prefix.ljust(_AFTER_NAMES, b"\0")
    return b"%s%s%06o\0 %s%s" % (name.ljust(_NAME, b"\0"), numbers, checksum, kind, tail)


def _sum(short: bytes) -> int:
    """Add up at most 256 bytes: the lower half of an Adler-32 is that, and 1 (RFC 1950)."""
    return (adler32(short) & 0xFFFF) - 1


def parse(block: bytes | memoryview) -> Header | None:
    """Read one header block; None for a block of zeros, which ends a tar.

    Raises TarFormatError if the block is no ustar header, fails its checksum or holds something
    else than octal numbers.
    """
    block = bytes(block)
    checksum = sum(block)
    if not checksum:
        return None
    stated = block[148:156]
    try:
        if checksum - sum(stated) + _SPACES != int(stated.rstrip(b" \0"), 8):
            raise TarFormatError("a tar header fails its checksum")
        size = int(block[124:136].rstrip(b" \0"), 8)
    except ValueError as error:
        raise TarFormatError(str(error) or "a tar header holds no number") from None
    if block[257:263] != b"ustar\0" or len(block) != BLOCK or size < 0:
        raise TarFormatError("a tar header is not ustar")
    name = block[:_NAME].rstrip(b"\0")
    if block[345]:
        name = block[345:500].rstrip(b"\0") + b"/" + name
    return Header(block[156:157], name, size)


def parse_entry(block: bytes, pax: dict[bytes, bytes]) -> Entry:
    """Read all that the header of a regular file says; ``pax`` are the records before it.

    Raises TarFormatError as :func:`parse` does.
    """
    head = parse(block)
    if head is None or head.type != REGULAR:
        raise TarFormatError("a tar header is none of a regular file")
    numbers = {b"size": head.size}
    fields = {b"mode": (100, 108), b"uid": (108, 116), b"gid": (116, 124), b"mtime": (136, 148)}
    try:
        for key, (begin, end) in fields.items():
            numbers[key] = int(block[begin:end].rstrip(b" \0"), 8)
        for key in numbers.keys() & pax.keys():
            numbers[key] = int(pax[key])
    except ValueError as error:
        raise TarFormatError(str(error)) from None
    return Entry(
        pax.get(b"path", head.name),
        numbers[b"size"],
        numbers[b"mtime"] * 1_000_000_000,
        numbers[b"mode"],
        numbers[b"uid"],
        numbers[b"gid"],
    )


def parse_pax(records: bytes) -> dict[bytes, bytes]:
    """Read the content of a pax header. Raises TarFormatError if it is malformed."""
    found: dict[bytes, bytes] = {}
    while records:
        digits, space, _ = records[:24].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = records[len(digits) + 1 : length].partition(b"=")
        if not space or not equals or value[-1:] != b"\n" or length > len(records):
            raise TarFormatError("a pax header is malformed")
        found[key] = value[:-1]
        records = records[length:]
    return found


def pax_number(value: bytes) -> int:
    """Read a number of a pax header that may not be negative."""
    if not value.isdigit() or len(value) > 20:
        raise TarFormatError(f"a pax header has {value[:32]!r} for a number")
    return int(value)
