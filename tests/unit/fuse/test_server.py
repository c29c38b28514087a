"""The conversation, with a fake kernel on the other side."""

import errno
import struct

import pytest

from djafs.fuse import DirectoryEntry, Handler, Request, Statfs
from djafs.fuse.server import log_error
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import serving
from rig.fuse_handlers import GETATTR, READ, WRITE_ABC, Failing, Recorder


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
