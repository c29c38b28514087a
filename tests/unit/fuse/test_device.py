"""Mounting, with a fusermount3 that mounts nothing."""

import json
import os
import sys

import pytest

from djafs.fuse import FuseError, device, escape_option, mount, unmount

PROGRAM = f"""#!{sys.executable}
import array, json, os, socket, sys
with open({{log!r}}, "w") as log:
    json.dump(sys.argv[1:], log)
if "/refused" in sys.argv:
    sys.exit("fusermount3: failed to access mountpoint /refused: Permission denied")
if "/silent" in sys.argv:
    sys.exit(1)
if "-u" not in sys.argv and "/forgotten" not in sys.argv:
    with socket.socket(fileno=int(os.environ["_FUSE_COMMFD"])) as ours, open({{log!r}}) as sent:
        socket.send_fds(ours, [b"x"], [sent.fileno()])
"""


@pytest.fixture
def called(tmp_path, monkeypatch):
    """Put a fusermount3 into PATH; return what it was called with."""
    log = tmp_path / "log"
    program = tmp_path / "fusermount3"
    program.write_text(PROGRAM.format(log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(device, "_DEVICE", "/dev/null")
    return lambda: json.loads(log.read_text())


def test_mounting_returns_the_descriptor(called):
    descriptor = mount("/there", ["default_permissions", "fsname=a,b\\c"])
    try:
        assert called() == ["-o", "default_permissions,fsname=a\\,b\\\\c", "--", "/there"]
        assert json.loads(os.read(descriptor, 1000)) == called()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_mounting_without_options(called):
    os.close(mount("-there"))
    assert called() == ["--", "-there"]


def test_unmounting(called):
    unmount("/there")
    assert called() == ["-u", "--", "/there"]
    unmount("/there", lazy=True)
    assert called() == ["-u", "-z", "--", "/there"]


@pytest.mark.parametrize("call", [mount, unmount])
@pytest.mark.parametrize(
    ("mountpoint", "message"),
    [
        ("/refused", "mount.* /refused: failed to access mountpoint /refused: Permission denied$"),
        ("/silent", "mount.* /silent: fusermount3 failed without saying why$"),
    ],
)
def test_a_refusal_is_passed_on(called, call, mountpoint, message):
    with pytest.raises(FuseError, match=message):
        call(mountpoint)


def test_no_descriptor_is_sent(called):
    with pytest.raises(FuseError, match="without saying why"):
        mount("/forgotten")


def test_fusermount_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for call in (mount, unmount):
        with pytest.raises(FuseError, match="`apt install fuse3`"):
            call("/there")


def test_the_device_is_missing(called, monkeypatch):
    monkeypatch.setattr(device, "_DEVICE", "/dev/no-such-fuse")
    with pytest.raises(FuseError, match=r"/dev/no-such-fuse is missing: .*modprobe"):
        mount("/there")


def test_auto_unmount_is_refused(called):
    with pytest.raises(FuseError, match="auto_unmount"):
        mount("/there", ["auto_unmount"])


@pytest.mark.parametrize(
    ("value", "escaped"), [("plain", "plain"), ("a,b", "a\\,b"), ("a\\,b", "a\\\\\\,b")]
)
def test_options_are_escaped(value, escaped):
    assert escape_option(value) == escaped
