"""Extended attributes: xattr(7), setxattr(2), getxattr(2), listxattr(2), removexattr(2)."""

from __future__ import annotations

import os

import pytest

from rig.mount import Mount
from rig.twins import Site, Twins

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")

ALICE, BOB = 65534, 65533


def test_setting_getting_listing_removing(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        at.mkdir("d", 0o755)
        for path in ("f", "d"):
            assert at.getxattr(path, "user.a") == "ENODATA"
            assert at.setxattr(path, "user.a", b"1") is None
            assert at.setxattr(path, "user.a", b"22") is None
            assert at.setxattr(path, "user.a", b"", os.XATTR_CREATE) == "EEXIST"
            assert at.setxattr(path, "user.b", b"", os.XATTR_REPLACE) == "ENODATA"
            assert at.setxattr(path, "user.b", b"", os.XATTR_CREATE) is None
            assert at.setxattr(path, "user.b", b"\0\xff" * 50, os.XATTR_REPLACE) is None
            at.setxattr(path, "user.c", b"1", os.XATTR_CREATE | os.XATTR_REPLACE)
            at.setxattr(path, "user.a", b"1", os.XATTR_CREATE | os.XATTR_REPLACE)
            at.setxattr(path, "user.a", b"1", 64)
            at.call("list", lambda path=path: sorted(os.listxattr(path)))
            for name in ("user.a", "user.b", "user.c"):
                at.getxattr(path, name)
            assert at.removexattr(path, "user.a") is None
            assert at.removexattr(path, "user.a") == "ENODATA"

    twins.both(scenario)


def test_names_and_sizes(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        for name in (
            *("user.", "user", "", "x", ".", "user..usera.b", "USER.a", "other.a", "trusted."),
            *(
                "security.",
                "system.",
                "system.a",
                "system.posix_acl_x",
                "user.é",
                "user.a/b",
                "user. ",
                "btrfs.x",
            ),
            "user." + "n" * 249,
            "user." + "n" * 250,
            "user." + "n" * 251,
            "trusted." + "n" * 247,
            "trusted." + "n" * 248,
        ):
            at.setxattr("f", name, b"1")
            at.getxattr("f", name)
            at.removexattr("f", name)
        for size in (0, 1, 255, 256, 1000, 3000):
            assert at.setxattr("f", "user.v", b"v" * size) is None
            assert at.getxattr("f", "user.v") == b"v" * size
        assert at.setxattr("f", "user.v", b"v" * 65537) == "E2BIG"

    twins.both(scenario)


def test_values_of_up_to_64_kib(twins: Twins):
    """More than ext4 holds, which has one block for all of a file's."""
    path = twins.live / "f"
    path.touch()
    for number in range(5):
        os.setxattr(path, f"user.{number}", bytes([number]) * 65536)
    for number in range(5):
        assert os.getxattr(path, f"user.{number}") == bytes([number]) * 65536


def test_what_has_none(twins: Twins):
    """Symbolic links, FIFOs and devices take no ``user.`` attributes."""

    def scenario(at: Site) -> None:
        at.symlink("x", "l")
        at.mkfifo("p", 0o666)
        for path in ("l", "p"):
            assert at.setxattr(path, "user.a", b"1", follow_symlinks=False) == "EPERM"
            assert at.getxattr(path, "user.a", follow_symlinks=False) in ("EPERM", "ENODATA")
            at.removexattr(path, "user.a", follow_symlinks=False)
            if os.geteuid() == 0:
                assert at.setxattr(path, "trusted.a", b"1", follow_symlinks=False) is None
            at.listxattr(path, follow_symlinks=False)

    twins.both(scenario)


@ROOT
def test_who_may(twins: Twins):
    def scenario(at: Site) -> None:
        for path, mode in (("f", 0o644), ("private", 0o600), ("shared", 0o666)):
            at.make(path)
            at.chown(path, ALICE, ALICE)
            at.chmod(path, mode)
        at.mkdir("sticky", 0o1777)
        at.chmod("sticky", 0o1777)
        for path in ("f", "private", "shared", "sticky"):
            for name in ("user.a", "trusted.a", "security.a"):
                at.setxattr(path, name, b"root")
                for who in (at.user(ALICE), at.user(BOB)):
                    who.getxattr(path, name)
                    who.setxattr(path, name, b"changed")
                    who.call("list", lambda path=path: sorted(os.listxattr(path)))
                    who.removexattr(path, name)

    twins.both(scenario)


@ROOT
def test_file_capabilities_go_with_the_content(twins: Twins):
    capability = bytes.fromhex("0100000200040000000000000000000000000000")

    def scenario(at: Site) -> None:
        made = int(at.open("f", os.O_CREAT | os.O_RDWR))
        opened = int(at.open("f", os.O_RDWR))
        for change in (
            lambda: at.pwrite(opened, b"x", 0),
            lambda: at.pwrite(made, b"x", 0),
            lambda: at.ftruncate(opened, 10),
            lambda: at.ftruncate(made, 3),
            lambda: at.chown("f", -1, -1),
            lambda: at.chown("f", 0, 0),
            lambda: at.chmod("f", 0o755),
            lambda: at.utime("f", (1, 1)),
        ):
            at.setxattr("f", "security.capability", capability)
            change()
            at.getxattr("f", "security.capability")

    twins.both(scenario)


def test_attributes_are_kept_with_the_inode(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("f")
        at.setxattr("f", "user.a", b"1")
        at.link("f", "g")
        at.rename("f", "h")
        assert at.getxattr("g", "user.a") == b"1"
        at.setxattr("g", "user.a", b"2")
        assert at.getxattr("h", "user.a") == b"2"
        descriptor = at.open("g", os.O_RDONLY)
        at.setxattr(descriptor, "user.b", b"3")
        at.listxattr(descriptor)

    twins.both(scenario)


def test_no_acls_but_a_clear_refusal(shared_mount: Mount, twins: Twins):
    """As on ext4 mounted with ``noacl``: programs that copy ACLs take it as "none here"."""
    path = twins.live / "f"
    path.touch()
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        with pytest.raises(OSError, match="not supported"):
            os.getxattr(path, name)
