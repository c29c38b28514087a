"""Answers that are given later."""

import struct
import threading

from djafs.fuse import Deferred, Handler, Statfs
from djafs.fuse.delays import Delays
from djafs.fuse.wire import Opcode
from djafs.testing.fake_kernel import PATIENCE, serving

WRITE_ABC = struct.pack("=QQIIQII", 0, 0, 3, 0, 0, 0, 0) + b"abc"
A_DAY = 86_400.0


class Slow(Handler):
    """Answers a write after ``delay`` seconds, and statfs at once."""

    def __init__(self, delay):
        self.delay = delay

    def write(self, request, handle, offset, data, write_flags, flags):
        length = len(data)
        return Deferred(lambda: length, self.delay)

    def statfs(self, request):
        return Statfs(0, 0, 0, 0, 0)


def test_others_are_answered_while_one_waits():
    with serving(Slow(0.05)) as kernel:
        late = kernel.send(Opcode.WRITE, WRITE_ABC)
        early = kernel.send(Opcode.STATFS)
        first, second = kernel.receive(), kernel.receive()
    assert (first.unique, second.unique) == (early, late)
    assert struct.unpack_from("=I", second.body) == (3,)


def test_an_answer_that_waits_is_given_when_the_mount_ends():
    answered = []

    class Ending(Slow):
        def write(self, request, handle, offset, data, write_flags, flags):
            return Deferred(lambda: answered.append("write") or 3, A_DAY)

    with serving(Ending(A_DAY)) as kernel:
        kernel.send(Opcode.WRITE, WRITE_ABC)
        kernel.call(Opcode.STATFS)  # the write was read before
    assert answered == ["write"]


def test_jobs_run_in_the_order_of_their_times():
    delays, done, last = Delays("test"), [], threading.Event()
    delays.submit(0.03, last.set)
    delays.submit(0.02, lambda: done.append("second"))
    delays.submit(0.01, lambda: done.append("first"))
    assert last.wait(PATIENCE)
    assert done == ["first", "second"]
    delays.drain()


def test_an_earlier_job_overtakes_one_that_is_waited_for():
    delays, sooner = Delays("test"), threading.Event()
    later = []
    delays.submit(A_DAY, lambda: later.append("later"))
    delays.submit(0.001, sooner.set)
    assert sooner.wait(PATIENCE)
    assert not later
    delays.drain()
    assert later == ["later"]


def test_nothing_to_drain():
    Delays("test").drain()
