"""Every operation on every kind of path that is wrong: too long, not there, not a directory, …"""

from __future__ import annotations

import os

import pytest

from rig.operations import OPERATIONS, furnish
from rig.twins import Site, Twins

MAKERS = ("open with O_CREAT", "open with O_EXCL", "mkdir", "mkfifo", "symlink", "link to")

A_COMPONENT = 255
"""NAME_MAX."""


each_operation = pytest.mark.parametrize("operation", OPERATIONS)


@each_operation
def test_names_of_up_to_255_bytes(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        longest, longer = "n" * A_COMPONENT, "n" * (A_COMPONENT + 1)
        for name in (longest, "é" * 127 + "x", f"dir/{longest}"):
            outcome = act(at, name)
            assert outcome != "ENAMETOOLONG" or operation == "bind"
            if operation in MAKERS and outcome is None:
                at.call("remove", _remove, name)
        for name in (longer, "é" * 128, f"dir/{longer}", f"{longer}/x"):
            assert act(at, name) == "ENAMETOOLONG"

    twins.both(scenario)


@each_operation
def test_paths_of_up_to_4095_bytes(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        assert act(at, "./" * 2047 + "d") != "ENAMETOOLONG" or operation == "bind"
        assert act(at, "./" * 2047 + "dd") == "ENAMETOOLONG"
        assert act(at, "dir/../" * 800) == "ENAMETOOLONG"

    twins.both(scenario)


@each_operation
def test_prefixes_that_lead_nowhere(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        act = OPERATIONS[operation]
        assert act(at, "missing/x") == "ENOENT"
        assert act(at, "file/x") == "ENOTDIR"
        assert act(at, "to-file/x") == "ENOTDIR"
        assert act(at, "dangling/x") == "ENOENT"
        assert act(at, "loop/x") == "ELOOP"
        if operation != "bind":  # to the empty path: to any abstract address
            assert act(at, "") == "ENOENT"

    twins.both(scenario)


@each_operation
def test_what_stands_at_the_end(twins: Twins, operation: str):
    names = (
        *("file", "dir", "loop", "dangling", "to-dir", "to-file", "missing"),
        *("file/", "dir/", "to-dir/", "to-file/", "missing/", "dangling/"),
        *(".", "..", "dir/.", "dir/.."),
    )

    def scenario(at: Site) -> None:
        for number, name in enumerate(names):
            at.mkdir(f"{number}", 0o777)
            os.chdir(f"{number}")
            furnish(at)
            OPERATIONS[operation](at, name)
            os.chdir("..")

    twins.both(scenario)


def _remove(path: str) -> None:
    (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)


@pytest.mark.parametrize("operation", MAKERS)
def test_names_that_are_taken(twins: Twins, operation: str):
    def scenario(at: Site) -> None:
        furnish(at)
        at.mkfifo("fifo", 0o644)
        for taken in ("dir", "loop", "dangling", "fifo", "to-dir"):
            if operation != "open with O_CREAT":
                assert OPERATIONS[operation](at, taken) == "EEXIST"

    twins.both(scenario)


def test_chains_of_forty_links(twins: Twins):
    def scenario(at: Site) -> None:
        at.make("l0", b"end")
        for number in range(1, 43):
            at.symlink(f"l{number - 1}", f"l{number}")
        assert at.content("l40") == b"end"
        assert at.content("l41") == "ELOOP"

    twins.both(scenario)


def test_any_byte_in_a_name(twins: Twins):
    def scenario(at: Site) -> None:
        for byte in range(1, 256):
            name = os.fsdecode(b"n" + bytes([byte]))
            at.make(name if byte != ord("/") else "slash", bytes([byte]))
        for name in ("\udcff\udc80", "\u00e9", "e\u0301", "😀", "\udced\udca0\udc80", " ", "\n"):
            at.mkdir(name, 0o755)
            assert at.make(name + "/" + name, os.fsencode(name)) is None
        at.note(repr(sorted(os.listdir(b"."))))

    twins.both(scenario)
