"""Answers of ``live/`` that a mount would take long to reach."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from djafs.fuse import Request
from djafs.model import LIVE_ROOT, Inode
from djafs.mounting import names
from djafs.mounting.interest import Interest
from djafs.mounting.live import LiveOperations
from djafs.mounting.names import NameOperations
from djafs.mounting.privileges import bare_mode, is_in_group
from djafs.store.store import Store


@pytest.fixture
def operations(tmp_path: Path) -> Iterator[NameOperations]:
    store = Store.open(str(tmp_path / "store"), create=True)
    with store.guard:
        yield NameOperations(store, LiveOperations(store), Interest())
    store.close()


def request_of(nodeid: int, uid: int = 0, gid: int = 0) -> Request:
    request = Request()
    request.nodeid, request.uid, request.gid, request.pid = nodeid, uid, gid, os.getpid()
    return request


def test_a_file_has_no_more_links_than_on_ext4(
    operations: NameOperations, monkeypatch: pytest.MonkeyPatch
):
    assert names.LINK_MAX == 65_000
    monkeypatch.setattr(names, "LINK_MAX", 3)
    root = request_of(LIVE_ROOT)
    node = operations.mknod(root, b"f", 0o100644, 0, 0).nodeid
    for name in (b"2", b"3"):
        operations.link(root, node, name)
    with pytest.raises(OSError, match="Too many links") as raised:
        operations.link(root, node, b"4")
    assert raised.value.errno == errno.EMLINK
    for number in range(5):  # directories count on, as on other filesystems
        operations.mkdir(root, b"d%d" % number, 0o755, 0)


def test_older_kernels_leave_the_set_group_id_bit_of_new_files_to_us(operations: NameOperations):
    root = request_of(LIVE_ROOT)
    directory = operations.mkdir(root, b"d", 0o2777, 0).nodeid
    foreign = request_of(directory, 65534, 65534)
    foreign.pid = 1 << 30  # nobody, so in no group
    made = operations.create(foreign, b"f", 0, 0o2755, 0, 0).entry.attributes
    assert made is not None
    assert (made.gid, stat.S_IMODE(made.mode)) == (0, 0o755)
    kept = operations.create(foreign, b"g", 0, 0o2745, 0, 0).entry.attributes
    assert kept is not None
    assert stat.S_IMODE(kept.mode) == 0o2745


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "left"),
    [
        (0o100644, 1, 1, None),
        (0o104755, 0, 0, 0o100755),
        (0o106755, 0, 0, 0o100755),
        (0o102755, 1, 1, 0o100755),
        (0o102644, 0, 0, None),
        (0o102644, 1, 7, None),
        (0o102644, 1, 1, 0o100644),
        (0o106644, 1, 7, 0o102644),
        (0o042777, 1, 1, None),
    ],
)
def test_which_set_id_bits_go(mode: int, uid: int, gid: int, left: int | None):
    request = request_of(3, uid, gid)
    request.pid = 1 << 30
    assert bare_mode(request, Inode(3, mode, 5, 7, 0)) == left


def test_supplementary_groups_count():
    request = request_of(3, 12345, 12345)
    groups = os.getgroups()
    assert all(is_in_group(request, gid) for gid in groups)
    assert not is_in_group(request, 54321)
