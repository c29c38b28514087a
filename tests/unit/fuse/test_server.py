"""The conversation, with a fake kernel on the other side."""

import errno
import os
import struct
import threading

import pytest

from djafs.fuse import (
    Config,
    Deferred,
    DirectoryEntry,
    FuseError,
    Handler,
    Request,
    Statfs,
    wire,
)
from djafs.fuse.server import log_error
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import PATIENCE, serving

GETATTR = bytes(16)
READ = struct.pack("=QQIIQII", 0, 0, 4096, 0, 0, 0, 0)
WRITE_ABC = struct.pack("=QQIIQII", 0, 0, 3, 0, 0, 0, 0) + b"abc"


class Recorder(Handler):
    """Notes what it is called with."""

    def __init__(self):
        self.calls = []

    def init(self, info):
        self.calls.append(("init", info))

    def destroy(self):
        self.calls.append(("destroy",))

    def forget(self, nodeid, nlookup):
        self.calls.append(("forget", nodeid, nlookup))


class Failing(Handler):
    """Raises what it is given."""

    def __init__(self, error):
        self.error = error

    def getattr(self, request, handle):
        raise self.error


class CodedError(Exception):
    errno = errno.EROFS


# --- answers ----------------------------------------------------------------------------------


def test_a_method_is_told_who_asks():
    asked = []

    class Asked(Handler):
        def statfs(self, request):
            assert request.opcode == Opcode.STATFS
            asked.append((request.unique, request.nodeid, request.uid, request.gid, request.pid))
            assert f"<Request {request.unique} opcode=17 nodeid=3 uid=4 gid=5 pid=6>" == repr(
                request
            )
            return Statfs(0, 0, 0, 0, 0)

    with serving(Asked()) as kernel:
        unique = kernel.send(Opcode.STATFS, nodeid=3, uid=4, gid=5, pid=6)
        assert kernel.receive().error == 0
    assert asked == [(unique, 3, 4, 5, 6)]


@pytest.mark.parametrize(
    ("error", "answer", "reported"),
    [
        (OSError(errno.ENOENT, "no"), errno.ENOENT, False),
        (PermissionError(errno.EACCES, "no"), errno.EACCES, False),
        (OSError("no errno"), errno.EIO, True),
        (OSError(100_000, "no such errno"), errno.EIO, True),
        (CodedError("read-only"), errno.EROFS, True),
        (ZeroDivisionError("bug"), errno.EIO, True),
        (ValueError("bug"), errno.EIO, True),
    ],
)
def test_an_exception_is_an_answer(error, answer, reported):
    with serving(Failing(error)) as kernel:
        for _ in range(2):
            assert kernel.call(Opcode.GETATTR, GETATTR).error == answer
    assert kernel.errors == ([(error, Opcode.GETATTR)] * 2 if reported else [])


def test_a_result_that_cannot_be_encoded_is_an_error_of_the_handler():
    class Wrong(Handler):
        def getattr(self, request, handle):
            return None

    with serving(Wrong()) as kernel:
        assert kernel.call(Opcode.GETATTR, GETATTR).error == errno.EIO
    assert len(kernel.errors) == 1


def test_an_error_hook_that_fails_does_not_end_the_conversation(caplog):
    with serving(Failing(ZeroDivisionError("bug"))) as kernel:
        kernel.server._on_error = lambda error, request: 1 // 0
        assert kernel.call(Opcode.GETATTR, GETATTR).error == errno.EIO
    assert "reporting an error" in caplog.text


def test_errors_are_logged_unless_there_is_a_hook(caplog):
    try:
        raise ZeroDivisionError("bug")
    except ZeroDivisionError as error:
        log_error(error, Request())
    log_error(CodedError("read-only"), Request())
    bug, refusal = caplog.records
    assert bug.exc_info
    assert not refusal.exc_info
    assert "failed: read-only" in caplog.text


@pytest.mark.parametrize("opcode", [Opcode.STATX, Opcode.POLL, Opcode.SETLK, 7, 4096, 1 << 31])
def test_what_is_unknown_is_not_implemented(opcode):
    with serving(Handler()) as kernel:
        assert kernel.call(opcode, bytes(64)).error == errno.ENOSYS
    assert kernel.errors == []


def test_every_operation_is_not_implemented_by_default():
    body = bytes(39) + b"a\0b\0" + bytes(100)
    with serving(Handler()) as kernel:
        for opcode in Opcode:
            if opcode in (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.INIT):
                continue
            if opcode is Opcode.NOTIFY_REPLY:
                kernel.send(opcode, body)
            else:
                expected = 0 if opcode is Opcode.DESTROY else errno.ENOSYS
                assert kernel.call(opcode, body).error == expected
    assert kernel.errors == []


def test_a_request_that_is_cut_off_is_invalid():
    with serving(Handler()) as kernel:
        for opcode in (Opcode.GETATTR, Opcode.LOOKUP, Opcode.WRITE):
            assert kernel.call(opcode, b"ab").error == errno.EINVAL
    assert [opcode for _, opcode in kernel.errors] == [
        Opcode.GETATTR,
        Opcode.LOOKUP,
        Opcode.WRITE,
    ]


def test_a_message_without_a_header_is_dropped():
    with serving(Handler()) as kernel:
        kernel.send_raw(b"half a header")
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS


def test_large_content_is_sent_whole():
    class Zeros(Handler):
        def read(self, request, handle, offset, size, flags):
            return b"z" * size

    with serving(Zeros()) as kernel:
        body = struct.pack("=QQIIQII", 0, 0, 100_000, 0, 0, 0, 0)
        assert kernel.call(Opcode.READ, body).body == b"z" * 100_000


def test_a_listing_may_be_lazy_and_fail():
    class Listing(Handler):
        def readdir(self, request, handle, offset, size):
            yield DirectoryEntry(b"a", 2, 3, 0o100644)
            raise OSError(errno.ESTALE, "gone")

    with serving(Listing()) as kernel:
        assert kernel.call(Opcode.READDIR, READ).error == errno.ESTALE


def test_data_of_a_write_is_the_requests_only():
    kept = []

    class Keeping(Handler):
        def write(self, request, handle, offset, data, write_flags, flags):
            kept.append(bytes(data))
            return len(data)

    with serving(Keeping()) as kernel:
        assert kernel.call(Opcode.WRITE, WRITE_ABC).body == struct.pack("=II", 3, 0)
    assert kept == [b"abc"]


# --- forgetting -------------------------------------------------------------------------------


def test_forgetting_has_no_reply():
    recorder = Recorder()
    with serving(recorder) as kernel:
        kernel.send(Opcode.FORGET, struct.pack("=Q", 3), nodeid=7)
        kernel.send(Opcode.BATCH_FORGET, struct.pack("=IIQQQQ", 2, 0, 8, 1, 9, 2))
        kernel.send(Opcode.BATCH_FORGET, struct.pack("=II", 1 << 31, 0))
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS
    assert recorder.calls[1:] == [
        ("forget", 7, 3),
        ("forget", 8, 1),
        ("forget", 9, 2),
        ("destroy",),
    ]
    assert [opcode for _, opcode in kernel.errors] == [Opcode.BATCH_FORGET]


# --- deferred answers -------------------------------------------------------------------------


class Slow(Handler):
    """Answers a READ when it is allowed to."""

    def __init__(self):
        self.allowed = threading.Event()
        self.begun = threading.Event()
        self.destroyed = False

    def read(self, request, handle, offset, size, flags):
        def contents():
            self.begun.set()
            assert self.allowed.wait(PATIENCE)
            return b"interrupted" if request.interrupted else b"slow"

        return Deferred(contents)

    def write(self, request, handle, offset, data, write_flags, flags):
        return Deferred(lambda: len(bytes(data)))

    def fsync(self, request, handle, datasync):
        def fail():
            raise OSError(errno.ENOSPC, "full")

        return Deferred(fail)

    def destroy(self):
        self.destroyed = True


def test_a_deferred_request_does_not_keep_others_waiting():
    slow = Slow()
    with serving(slow) as kernel:
        first = kernel.send(Opcode.READ, READ)
        second = kernel.send(Opcode.STATFS)
        assert kernel.receive().unique == second
        slow.allowed.set()
        answer = kernel.receive()
    assert (answer.unique, answer.body) == (first, b"slow")


def test_a_deferred_request_may_fail():
    with serving(Slow()) as kernel:
        assert kernel.call(Opcode.FSYNC, bytes(16)).error == errno.ENOSPC
    assert kernel.errors == []


def test_data_of_a_deferred_write_has_to_be_copied():
    with serving(Slow()) as kernel:
        assert kernel.call(Opcode.WRITE, WRITE_ABC).error == errno.EIO
    assert "released memoryview" in str(kernel.errors[0][0])


def test_a_deferred_request_is_interrupted():
    slow = Slow()
    with serving(slow) as kernel:
        unique = kernel.send(Opcode.READ, READ)
        other = kernel.send(Opcode.READ, READ)
        kernel.send(Opcode.INTERRUPT, struct.pack("=Q", unique))
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS
        slow.allowed.set()
        bodies = {answer.unique: answer.body for answer in (kernel.receive(), kernel.receive())}
    assert bodies == {unique: b"interrupted", other: b"slow"}


def test_an_interrupt_that_comes_late_is_ignored():
    with serving(Handler()) as kernel:
        unique = kernel.call(Opcode.STATFS).unique
        kernel.send(Opcode.INTERRUPT, struct.pack("=Q", unique))
        kernel.send(Opcode.INTERRUPT, b"")
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS
    assert [opcode for _, opcode in kernel.errors] == [Opcode.INTERRUPT]


def test_more_deferred_requests_than_threads():
    slow = Slow()
    with serving(slow, Config(deferred_threads=2)) as kernel:
        sent = {kernel.send(Opcode.READ, READ) for _ in range(10)}
        assert slow.begun.wait(PATIENCE)
        slow.allowed.set()
        assert {kernel.receive().unique for _ in range(10)} == sent
        assert len(kernel.server._pool._threads) == 2


def test_unmounting_waits_for_deferred_requests():
    slow = Slow()
    with serving(slow) as kernel:
        kernel.send(Opcode.READ, READ)
        assert slow.begun.wait(PATIENCE)
        kernel.unmount()
        assert not slow.destroyed
        slow.allowed.set()
    assert slow.destroyed


# --- the guard --------------------------------------------------------------------------------


def test_the_guard_is_held_by_methods_and_not_by_deferred_functions():
    guard = threading.Lock()
    seen = []

    class Guarded(Handler):
        def init(self, info):
            seen.append(guard.locked())

        def destroy(self):
            seen.append(guard.locked())

        def forget(self, nodeid, nlookup):
            seen.append(guard.locked())

        def readdir(self, request, handle, offset, size):
            yield from ()
            seen.append(guard.locked())

        def read(self, request, handle, offset, size, flags):
            seen.append(guard.locked())
            return Deferred(contents)

    def contents():
        with guard:
            return b""

    with serving(Guarded(), guard=guard) as kernel:
        kernel.call(Opcode.READDIR, READ)
        kernel.call(Opcode.READ, READ)
        kernel.send(Opcode.FORGET, struct.pack("=Q", 1))
    assert seen == [True] * 5


def test_a_method_that_fails_lets_go_of_the_guard():
    guard = threading.Lock()
    with serving(Failing(ZeroDivisionError()), guard=guard) as kernel:
        kernel.call(Opcode.GETATTR, GETATTR)
        with guard:
            pass


# --- notifications ----------------------------------------------------------------------------


def test_notifications():
    with serving(Handler()) as kernel:
        assert kernel.server.notify_inval_inode(5)
        assert kernel.server.notify_inval_entry(1, b"a")
        assert kernel.server.notify_delete(1, 5, b"a")
        assert kernel.server.notify_store(5, 0, b"data")
        received = [kernel.receive() for _ in range(4)]
    assert [(answer.unique, -answer.error) for answer in received] == [
        (0, wire.Notification.INVAL_INODE),
        (0, wire.Notification.INVAL_ENTRY),
        (0, wire.Notification.DELETE),
        (0, wire.Notification.STORE),
    ]
    assert not kernel.server.notify_inval_inode(5), "the descriptor is closed"


# --- the end ----------------------------------------------------------------------------------


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
