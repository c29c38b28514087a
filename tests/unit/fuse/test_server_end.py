"""How the conversation ends, or does not begin."""

import errno
import os

import pytest

from djafs.fuse import FuseError, Handler
from djafs.testing.fake_kernel import serving
from rig.fuse_handlers import Recorder


@pytest.mark.parametrize("gone", [errno.ENODEV, errno.ECONNABORTED])
def test_reading_fails_in_ways_that_are_no_failure(monkeypatch, gone):
    expected = [errno.EINTR, errno.ENOENT, errno.EAGAIN, gone]

    def readv(descriptor, buffers):
        raise OSError(expected.pop(0), "")

    monkeypatch.setattr(os, "readv", readv)
    with serving(Handler(), init=False):
        pass
    assert expected == []


def test_reading_fails(monkeypatch):
    def readv(descriptor, buffers):
        raise OSError(errno.EPERM, "")

    monkeypatch.setattr(os, "readv", readv)
    with pytest.raises(PermissionError), serving(Handler(), init=False):
        pass


def test_a_reply_that_nobody_waits_for(monkeypatch):
    write = os.write
    failures = [errno.ENOENT, errno.EINVAL]

    def failing(descriptor, message):
        if failures:
            raise OSError(failures.pop(0), "")
        return write(descriptor, message)

    with serving(Handler()) as kernel:
        # The loop has looked up os.write already; a handler's reply goes another way.
        monkeypatch.setattr(os, "write", failing)
        for _ in range(2):
            kernel.send(99)
        assert kernel.call(99).error == errno.ENOSYS
    assert [str(error) for error, _ in kernel.errors] == ["[Errno 22] "]


def test_the_descriptor_is_closed_at_the_end():
    recorder = Recorder()
    with serving(recorder) as kernel:
        descriptor = kernel.server._descriptor
    with pytest.raises(OSError, match=r"\[Errno 9\]"):
        os.fstat(descriptor)
    assert recorder.calls[-1] == ("destroy",)


def test_a_kernel_that_is_too_old():
    recorder = Recorder()
    with (
        pytest.raises(FuseError, match=r"FUSE 7\.30; 7\.31 \(Linux 5\.4\)"),
        serving(recorder, init=False) as kernel,
    ):
        assert kernel.init(minor=30).error == errno.EPROTO
    assert recorder.calls == []


def test_a_handler_that_cannot_begin():
    class Unable(Recorder):
        def init(self, info):
            raise OSError(errno.ENOSPC, "no room for a log")

    recorder = Unable()
    with pytest.raises(OSError, match="no room"), serving(recorder, init=False) as kernel:
        assert kernel.init().error == errno.EPROTO
    assert recorder.calls == []
