"""Replies as the kernel expects them, byte by byte (little-endian machines)."""

import errno
import stat
import sys

import pytest

from djafs.fuse import (
    Attributes,
    AttributesReply,
    Created,
    DirectoryEntry,
    Entry,
    IoctlReply,
    Opened,
    Statfs,
    negative_entry,
    notifications,
    replies,
    wire,
)

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="bytes of little-endian machines")

UNIQUE = 0x2A
ATTRIBUTES = Attributes(
    ino=5,
    size=12,
    blocks=8,
    atime=1_000_000_001,
    mtime=-1_500_000_000,
    ctime=2_000_000_003,
    mode=0o100644,
    nlink=1,
    uid=1000,
    gid=100,
    rdev=0,
    blksize=4096,
)
ATTR = (
    "0500000000000000 0c00000000000000 0800000000000000"
    "0100000000000000 feffffffffffffff 0200000000000000"
    "01000000 0065cd1d 03000000 a4810000 01000000 e8030000 64000000 00000000 00100000 00000000"
)
ENTRY = Entry(7, 3, ATTRIBUTES, 60_000_000_005, 1)
ENTRY_OUT = (
    "0700000000000000 0300000000000000 3c00000000000000 0000000000000000 05000000 01000000" + ATTR
)

LITERALS = [
    (replies.nothing, None, (), "10000000 00000000 2a00000000000000"),
    (replies.entry, ENTRY, (), "90000000 00000000 2a00000000000000" + ENTRY_OUT),
    (
        replies.entry,
        negative_entry(1_000_000_000),
        (),
        "90000000 00000000 2a00000000000000" + "00" * 16 + "0100000000000000" + "00" * 104,
    ),
    (
        replies.attributes,
        AttributesReply(ATTRIBUTES, 1_000_000_002),
        (),
        "78000000 00000000 2a00000000000000 0100000000000000 02000000 00000000" + ATTR,
    ),
    (
        replies.opened,
        Opened(5, 2),
        (),
        "20000000 00000000 2a00000000000000 0500000000000000 02000000 00000000",
    ),
    (
        replies.created,
        Created(ENTRY, Opened(5, 1)),
        (),
        "a0000000 00000000 2a00000000000000" + ENTRY_OUT + "0500000000000000 01000000 00000000",
    ),
    (replies.contents, b"abc", (0, 0, 3, 0), "13000000 00000000 2a00000000000000 616263"),
    (replies.text, b"../t", (), "14000000 00000000 2a00000000000000 2e2e2f74"),
    (replies.written, 12, (), "18000000 00000000 2a00000000000000 0c000000 00000000"),
    (replies.large_number, 1 << 32, (), "18000000 00000000 2a00000000000000 0000000001000000"),
    (
        replies.statfs,
        Statfs(1, 2, 3, 4, 5, 6, 7, 8),
        (),
        "60000000 00000000 2a00000000000000"
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000"
        "06000000 07000000 08000000 00000000" + "00" * 24,
    ),
    (replies.xattr, b"abc", (b"n", 0), "18000000 00000000 2a00000000000000 03000000 00000000"),
    (replies.xattr, b"abc", (b"n", 3), "13000000 00000000 2a00000000000000 616263"),
    (replies.xattr, b"", (b"n", 9), "10000000 00000000 2a00000000000000"),
    (replies.xattr_names, [b"a", b"b"], (4,), "14000000 00000000 2a00000000000000 61006200"),
    (replies.xattr_names, [b"a"], (0,), "18000000 00000000 2a00000000000000 02000000 00000000"),
    (
        replies.ioctl,
        IoctlReply(-1, b"ab"),
        (2,),
        "22000000 00000000 2a00000000000000 ffffffff 00000000 00000000 00000000 6162",
    ),
]


@pytest.mark.parametrize(("function", "result", "arguments", "expected"), LITERALS)
def test_a_result_is_encoded(function, result, arguments, expected):
    assert function(UNIQUE, result, arguments) == bytes.fromhex(expected)


def test_an_error_is_encoded():
    expected = "10000000 feffffff 2a00000000000000"
    assert replies.failure(UNIQUE, errno.ENOENT) == bytes.fromhex(expected)


def test_large_content_is_not_copied():
    content = bytes(100_000)
    header, data = replies.contents(UNIQUE, content, (0, 0, 100_000, 0))
    assert header == wire.REPLY_HEADER.pack(100_016, 0, UNIQUE)
    assert data is content


def test_more_content_than_asked_for_is_a_bug():
    with pytest.raises(ValueError, match="READ of 3"):
        replies.contents(UNIQUE, b"abcd", (0, 0, 3, 0))


def test_more_ioctl_output_than_asked_for_is_a_bug():
    with pytest.raises(ValueError, match="room for 3"):
        replies.ioctl(UNIQUE, IoctlReply(0, b"abcd"), (3,))


def test_an_extended_attribute_too_large_for_the_caller():
    with pytest.raises(OSError, match=r"\[Errno 34\]") as caught:
        replies.xattr(UNIQUE, b"abc", (b"n", 2))
    assert caught.value.errno == errno.ERANGE


# --- listings ---------------------------------------------------------------------------------

LISTING = [
    DirectoryEntry(b".", 1, 1, stat.S_IFDIR),
    DirectoryEntry(b"eightsix", 7, 9, stat.S_IFREG | 0o644, ENTRY),
    DirectoryEntry(b"l", 8, 10, stat.S_IFLNK | 0o777, None),
]
DIRENTS = [
    "0100000000000000 0100000000000000 01000000 04000000 2e00000000000000",
    "0700000000000000 0900000000000000 08000000 08000000 6569676874736978",
    "0800000000000000 0a00000000000000 01000000 0a000000 6c00000000000000",
]


def listing(room: int, function=replies.listing, entries=LISTING) -> bytes:
    message = function(UNIQUE, entries, (0, 0, room))
    assert message[:16] == wire.REPLY_HEADER.pack(len(message), 0, UNIQUE)
    return message[16:]


def test_a_listing_is_packed():
    assert listing(4096) == bytes.fromhex("".join(DIRENTS))


@pytest.mark.parametrize(("room", "fits"), [(31, 0), (32, 1), (63, 1), (64, 2), (95, 2), (96, 3)])
def test_a_listing_takes_what_fits(room, fits):
    assert listing(room) == bytes.fromhex("".join(DIRENTS[:fits]))


def test_a_listing_with_attributes():
    no_entry = "00" * 128
    expected = no_entry + DIRENTS[0] + ENTRY_OUT + DIRENTS[1] + no_entry + DIRENTS[2]
    assert listing(4096, replies.listing_plus) == bytes.fromhex(expected)


@pytest.mark.parametrize(("room", "fits"), [(159, 0), (160, 1), (319, 1), (320, 2), (480, 3)])
def test_a_generator_goes_on_after_the_entries_sent_and_no_others(room, fits):
    sent = []

    def entries():
        for each in LISTING:
            yield each
            sent.append(each.name)

    assert len(listing(room, replies.listing_plus, entries())) == fits * 160
    assert sent == [each.name for each in LISTING[:fits]]


def test_an_empty_listing():
    assert listing(4096, entries=[]) == b""


# --- notifications ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            notifications.inval_inode(5, -1, 0),
            "28000000 02000000 00000000000000000500000000000000 ffffffffffffffff 0000000000000000",
        ),
        (
            notifications.inval_entry(1, b"ab", expire_only=True),
            "23000000 03000000 0000000000000000 0100000000000000 02000000 01000000 616200",
        ),
        (
            notifications.delete(1, 5, b"ab"),
            "2b000000 06000000 0000000000000000"
            "0100000000000000 0500000000000000 02000000 00000000 616200",
        ),
        (
            notifications.store(5, 4096, b"ab"),
            "2a000000 04000000 0000000000000000"
            "0500000000000000 0010000000000000 02000000 00000000 6162",
        ),
    ],
)
def test_a_notification_is_encoded(message, expected):
    assert message == bytes.fromhex(expected)
