"""What both logs have open: every segment is synced, then its name, and closed once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from djafs.disk.host import Host
from djafs.disk.segment_files import SegmentFiles


class NotingHost(Host):
    """Notes what is synced and closed, by the names of the files."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.fails = ""

    def sync(self, descriptor: int, label: str) -> None:
        self.calls.append((label, name_of(descriptor)))
        if name_of(descriptor) == self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor, label)

    def sync_directory(self, path: str, label: str) -> None:
        self.calls.append((label, os.path.basename(path)))
        super().sync_directory(path, label)

    def close(self, descriptor: int) -> None:
        self.calls.append(("close", name_of(descriptor)))
        super().close(descriptor)

    def taken(self) -> list[tuple[str, ...]]:
        """The calls since this was asked last."""
        calls, self.calls = self.calls, []
        return calls


def name_of(descriptor: int) -> str:
    return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))


@pytest.fixture
def host() -> NotingHost:
    return NotingHost()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def files_in(directory: Path, host: Host, descriptor: int = -1) -> SegmentFiles:
    return SegmentFiles(host, str(directory), "x.sync", "x.sync-directory", descriptor)


def made(directory: Path, name: str) -> int:
    return os.open(directory / name, os.O_WRONLY | os.O_CREAT)


def test_full_segments_come_before_the_open_one_and_names_last(directory: Path, host: NotingHost):
    files = files_in(directory, host)
    for name in "123":
        files.begin(made(directory, name))
    files.sync()
    assert host.taken() == [
        ("x.sync", "1"), ("x.sync", "2"), ("x.sync", "3"), ("x.sync-directory", "log"),
        ("close", "1"), ("close", "2"),
    ]  # fmt: skip
    files.sync()
    assert host.taken() == [("x.sync", "3")]
    files.end()
    assert files.descriptor == -1
    files.sync()
    assert host.taken() == [("x.sync", "3"), ("close", "3")]
    files.sync()
    files.close()
    assert host.taken() == []


def test_a_segment_that_is_gone_on_with_has_its_name(directory: Path, host: NotingHost):
    files = files_in(directory, host, made(directory, "1"))
    files.close()
    assert host.taken() == [("x.sync", "1"), ("close", "1")]
    assert files.descriptor == -1


def test_what_failed_is_closed_and_not_synced_again(directory: Path, host: NotingHost):
    files = files_in(directory, host)
    for name in "123":
        files.begin(made(directory, name))
    host.fails = "1"
    with pytest.raises(OSError, match="Input/output error"):
        files.sync()
    assert host.taken() == [("x.sync", "1"), ("close", "1"), ("close", "2")]
    files.close()
    assert host.taken() == [("x.sync", "3"), ("close", "3")]
