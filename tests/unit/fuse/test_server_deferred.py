"""The conversation beside other threads: deferred answers, the guard, notifications."""

import errno
import os
import struct
import threading

import pytest

from djafs.fuse import Config, Deferred, Handler, rounds, server, wire
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import PATIENCE, serving
from rig.fuse_handlers import GETATTR, READ, WRITE_ABC, Failing

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
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS  # all of them were read by now
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


# --- answers that wait for the same thing -------------------------------------------------------


class Syncing(Slow):
    """Answers each FSYNC when what was there at the time has been synced."""

    def __init__(self):
        super().__init__()
        self.written = self.synced = 0
        self.syncs = []

    def fsync(self, request, handle, datasync):
        self.written += 1
        wanted = self.written

        def sync():
            if self.synced < wanted:
                self.syncs.append(wanted)
                self.begun.set()
                assert self.allowed.wait(PATIENCE)
                self.synced = wanted
            if wanted == 3:
                raise OSError(errno.EDQUOT, "over quota")

        return Deferred(sync, shared=True)


def test_all_that_wait_share_what_the_latest_does():
    syncing = Syncing()
    with serving(syncing) as kernel:
        first = kernel.send(Opcode.FSYNC, bytes(16))
        assert syncing.begun.wait(PATIENCE)
        rest = [kernel.send(Opcode.FSYNC, bytes(16)) for _ in range(9)]
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS  # others do not wait
        syncing.allowed.set()
        answers = [kernel.receive() for _ in range(10)]
    assert syncing.syncs == [1, 10]
    assert [answer.unique for answer in answers] == [first, *reversed(rest)]
    assert {answer.unique: answer.error for answer in answers if answer.error} == {
        rest[1]: errno.EDQUOT
    }


def test_unmounting_waits_for_what_is_shared():
    ended, seen = threading.Event(), []

    class Last(Handler):
        def fsync(self, request, handle, datasync):
            # Long enough for the server to end too early, if it does not wait.
            return Deferred(lambda: seen.append(ended.wait(0.05)), shared=True)

        def destroy(self):
            ended.set()

    with serving(Last()) as kernel:
        kernel.send(Opcode.FSYNC, bytes(16))
        assert kernel.call(Opcode.STATFS).error == errno.ENOSYS  # the first was read before
        kernel.unmount()
    assert ended.is_set()
    assert seen == [False]


def test_a_shared_answer_that_nobody_waits_for():
    """The kernel refuses it (ENOENT): nobody is told, and the others are answered."""
    refused = []

    def refusing(descriptor, reply):
        refused.append(reply)
        raise OSError(errno.ENOENT, "withdrawn")

    syncing = Syncing()
    syncing.allowed.set()
    with pytest.MonkeyPatch.context() as patch, serving(syncing) as kernel:
        patch.setattr(server, "write_at_once", refusing)
        kernel.send(Opcode.FSYNC, bytes(16))
        assert syncing.begun.wait(PATIENCE)
        kernel.unmount()
    assert len(refused) == 1
    assert kernel.errors == []


def test_writing_at_once_fails_as_writing_does():
    reading, writing = os.pipe()
    rounds.write_at_once(writing, b"reply\0with zeros")
    assert os.read(reading, 100) == b"reply\0with zeros"
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="descriptor") as raised:
        rounds.write_at_once(writing, b"reply")
    assert raised.value.errno == errno.EBADF


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
