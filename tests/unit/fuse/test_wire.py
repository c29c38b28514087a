"""Layouts against linux/fuse.h: sizes, and the header itself where it is installed."""

import re
from pathlib import Path

import pytest

from djafs.fuse import flags, wire

HEADER = Path("/usr/include/linux/fuse.h")

SIZES = {
    "REQUEST_HEADER": 40, "REPLY_HEADER": 16, "GETATTR_IN": 16, "SETATTR_IN": 88, "MKNOD_IN": 16,
    "MKDIR_IN": 8, "RENAME_IN": 8, "RENAME2_IN": 16, "LINK_IN": 8, "OPEN_IN": 8, "CREATE_IN": 16,
    "RELEASE_IN": 24, "FLUSH_IN": 24, "READ_IN": 40, "WRITE_IN": 40, "FSYNC_IN": 16,
    "SETXATTR_IN": 8, "SETXATTR_EXT_IN": 16, "GETXATTR_IN": 8, "ACCESS_IN": 8, "INTERRUPT_IN": 8,
    "IOCTL_IN": 32, "FALLOCATE_IN": 32, "LSEEK_IN": 24, "COPY_FILE_RANGE_IN": 56, "FORGET_IN": 8,
    "BATCH_FORGET_IN": 8, "FORGET_ONE": 16, "INIT_IN": 16, "ENTRY_OUT": 128,
    "ENTRY_REPLY": 144, "CREATE_REPLY": 160, "ATTR_REPLY": 120, "OPEN_REPLY": 32,
    "WRITE_REPLY": 24, "STATFS_REPLY": 96, "XATTR_SIZE_REPLY": 24, "U64_REPLY": 24,
    "IOCTL_REPLY": 32, "INIT_REPLY": 80, "DIRENT": 24, "NOTIFY_INVAL_INODE": 40,
    "NOTIFY_INVAL_ENTRY": 32, "NOTIFY_DELETE": 40, "NOTIFY_STORE": 40,
}  # fmt: skip


@pytest.mark.parametrize(("layout", "size"), SIZES.items())
def test_a_layout_has_the_size_of_its_struct(layout, size):
    assert getattr(wire, layout).size == size


@pytest.fixture(scope="module")
def header() -> str:
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not installed")
    return HEADER.read_text()


def test_opcodes_are_those_of_the_header(header):
    opcodes = header[header.index("enum fuse_opcode") : header.index("CUSE specific")]
    found = re.findall(r"FUSE_(\w+)\s*=\s*(\d+),", opcodes)
    assert len(found) > 40
    for name, value in found:
        assert wire.Opcode[name] == int(value)


def test_notification_codes_are_those_of_the_header(header):
    codes = header[header.index("enum fuse_notify_code") : header.index("FUSE_MIN_READ_BUFFER")]
    for name, value in re.findall(r"FUSE_NOTIFY_(\w+)\s*=\s*(\d+),", codes):
        assert wire.Notification[name] == int(value)


def test_flags_are_those_of_the_header(header):
    defined = dict(re.findall(r"#define (F\w+)\s+\((1U?L?L? << \d+)\)", header))
    bits = {name: 1 << int(value.split("<<")[1]) for name, value in defined.items()}
    checked = 0
    for name, value in bits.items():
        if hasattr(flags, name):
            assert getattr(flags, name) == value, name
            checked += 1
        elif name.removeprefix("FUSE_") in flags.InitFlag.__members__:
            assert flags.InitFlag[name.removeprefix("FUSE_")] == value, name
            checked += 1
    assert checked > 60
