"""Requests as the kernel sends them, byte by byte (little-endian machines)."""

import sys

import pytest

from djafs.fuse import SetAttributes, flags, requests

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="bytes of little-endian machines")


def message(body: str) -> bytes:
    """Return a request with the body given in hexadecimal; its header is not looked at."""
    return bytes(40) + bytes.fromhex(body)


def decode(function, body: str):
    """Decode from a buffer that still holds the rest of an earlier message, as the server's."""
    whole = message(body)
    return function(bytearray(whole + b"\xee" * 8), len(whole))


LITERALS = [
    (requests.no_arguments, "", ()),
    (requests.name, "6f6e652e6a736f6e 00", (b"one.json",)),
    (requests.name, "ff fe 00", (b"\xff\xfe",)),
    (requests.get_attributes, "00000000 00000000 0000000000000000", (None,)),
    (requests.get_attributes, "01000000 00000000 0700000000000000", (7,)),
    (requests.symlink, "6c00 2e2e2f7400", (b"l", b"../t")),
    (requests.mknod, "a4810000 05000000 12000000 00000000 7000", (b"p", 0o100644, 5, 0o22)),
    (requests.mkdir, "ed010000 12000000 6400", (b"d", 0o755, 0o22)),
    (requests.rename, "0300000000000000 6100 6200", (b"a", 3, b"b", 0)),
    (requests.rename2, "0300000000000000 02000000 00000000 6100 6200", (b"a", 3, b"b", 2)),
    (requests.link, "0900000000000000 6e00", (9, b"n")),
    (requests.open_file, "01800000 00000000", (0x8001, 0)),
    (requests.opendir, "00880000 00000000", (0x8800,)),
    (
        requests.create,
        "c2000000 a4810000 12000000 01000000 6600",
        (b"f", 0xC2, 0o100644, 0o22, flags.FUSE_OPEN_KILL_SUIDGID),
    ),
    (
        requests.read,
        "0500000000000000 0010000000000000 00000200 00000000 0000000000000000 00800000 00000000",
        (5, 4096, 131072, 0x8000),
    ),
    (
        requests.readdir,
        "0500000000000000 0300000000000000 00100000 00000000 0000000000000000 00000000 00000000",
        (5, 3, 4096),
    ),
    (
        requests.write,
        "0500000000000000 0010000000000000 03000000 04000000 0000000000000000 01800000 00000000"
        "616263",
        (5, 4096, b"abc", flags.FUSE_WRITE_KILL_SUIDGID, 0x8001),
    ),
    (requests.release, "0500000000000000 01800000 01000000 0000000000000000", (5, 0x8001, 1)),
    (requests.releasedir, "0500000000000000 00000000 00000000 0000000000000000", (5,)),
    (requests.flush, "0500000000000000 00000000 00000000 1122334455667788", (5,)),
    (requests.fsync, "0500000000000000 01000000 00000000", (5, True)),
    (requests.fsync, "0500000000000000 00000000 00000000", (5, False)),
    (requests.setxattr, "02000000 01000000 757365722e6100 0102", (b"user.a", b"\1\2", 1, 0)),
    (
        requests.setxattr_ext,
        "02000000 01000000 01000000 00000000 757365722e6100 0102",
        (b"user.a", b"\1\2", 1, flags.FUSE_SETXATTR_ACL_KILL_SGID),
    ),
    (requests.getxattr, "00010000 00000000 757365722e6100", (b"user.a", 256)),
    (requests.listxattr, "00010000 00000000", (256,)),
    (requests.access, "04000000 00000000", (4,)),
    (
        requests.ioctl,
        "0000000000000000 10000000 026d10c0 00f0ffffff7f0000 02000000 04000000 abcd",
        (0, flags.FUSE_IOCTL_DIR, 0xC0106D02, 0x7FFFFFFFF000, b"\xab\xcd", 4),
    ),
    (
        requests.fallocate,
        "0000000000000000 0010000000000000 0020000000000000 03000000 00000000",
        (0, 4096, 8192, 3),
    ),
    (requests.lseek, "0000000000000000 0010000000000000 04000000 00000000", (0, 4096, 4)),
    (
        requests.copy_file_range_64,
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
        "0500000000000000 0000000001000000 0000000000000000",
        (1, 2, 3, 4, 5, 1 << 32, 0),
    ),
    (
        requests.copy_file_range,
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
        "0500000000000000 0000000001000000 0000000000000000",
        (1, 2, 3, 4, 5, 0xFFFFF000, 0),
    ),
    (requests.forget, "0300000000000000", 3),
    (requests.interrupt, "2a00000000000000", 42),
    (
        requests.batch_forget,
        "02000000 00000000 05000000000000000100000000000000 06000000000000000200000000000000",
        [(5, 1), (6, 2)],
    ),
]


@pytest.mark.parametrize(("function", "body", "arguments"), LITERALS)
def test_a_request_is_decoded(function, body, arguments):
    assert decode(function, body) == arguments


def test_setattr_with_times_before_the_epoch():
    body = (
        "33080000 00000000 0500000000000000 0a00000000000000 0000000000000000"
        "feffffffffffffff 0100000000000000 0000000000000000"
        "0065cd1d 02000000 00000000 a4810000 00000000 e8030000 64000000 00000000"
    )
    (changes,) = decode(requests.set_attributes, body)
    expected = flags.FATTR_MODE | flags.FATTR_UID | flags.FATTR_ATIME | flags.FATTR_MTIME
    assert changes == SetAttributes(
        valid=expected | flags.FATTR_KILL_SUIDGID,
        handle=None,
        size=10,
        atime=-1_500_000_000,
        mtime=1_000_000_002,
        ctime=0,
        mode=0o100644,
        uid=1000,
        gid=100,
    )


def test_setattr_through_an_open_file_names_its_handle():
    body = "48000000 00000000 0500000000000000" + "00" * 72
    assert decode(requests.set_attributes, body)[0].handle == 5


def test_data_of_a_write_is_a_view_of_the_buffer():
    body = "00" * 16 + "02000000" + "00" * 20 + "6162"
    buffer = bytearray(message(body))
    data = requests.write(buffer, len(buffer))[2]
    buffer[-2:] = b"xy"
    assert data == b"xy"


@pytest.mark.parametrize(
    ("function", "body"),
    [
        (requests.name, ""),
        (requests.name, "6162"),
        (requests.symlink, "6100 62"),
        (requests.rename, "0300000000000000 6100"),
        (requests.write, "00" * 16 + "03000000" + "00" * 20 + "6162"),
        (requests.setxattr, "03000000 00000000 6100 0102"),
        (requests.ioctl, "00" * 24 + "03000000 00000000 0102"),
        (requests.forget, "030000"),
        (requests.batch_forget, "02000000 00000000" + "00" * 16),
    ],
)
def test_a_request_that_is_cut_off_is_refused(function, body):
    with pytest.raises(requests.MALFORMED):
        decode(function, body)
