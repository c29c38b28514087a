"""The conversation with the kernel: one thread reads requests, answers them, and reads on.

:class:`Server` joins the parts: :mod:`~djafs.fuse.negotiation` for INIT,
:mod:`~djafs.fuse.vigil` for waiting, :mod:`~djafs.fuse.operations` for what a request means, a
:class:`~djafs.fuse.handler.Handler` for what it does, :mod:`~djafs.fuse.pool` for what may block,
:mod:`~djafs.fuse.delays` for what is answered later, :mod:`~djafs.fuse.rounds` for what many wait
for together, :mod:`~djafs.fuse.notifications` for what the
kernel is told unasked.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from djafs.fuse import requests, wire
from djafs.fuse.delays import Delays
from djafs.fuse.handler import Handler
from djafs.fuse.negotiation import Config, answer_init, buffer_size
from djafs.fuse.notifications import NOT_WANTED, Notifier
from djafs.fuse.operations import Encode, operations_for
from djafs.fuse.pool import Pool
from djafs.fuse.replies import Reply, failure, nothing
from djafs.fuse.rounds import Rounds, write_at_once
from djafs.fuse.values import Deferred, InitInfo, Request
from djafs.fuse.vigil import Vigil
from djafs.fuse.wire import Opcode

#: Reading the device again is all there is to do: a signal, or a request withdrawn by its caller.
_READ_AGAIN = {errno.EINTR, errno.ENOENT}
#: The filesystem was unmounted, or its connection aborted (FUSE_ABORT_ERROR).
_GONE = {errno.ENODEV, errno.ECONNABORTED}
_LARGEST_ERRNO = 511

_log = logging.getLogger(__name__)

ErrorHook = Callable[[Exception, Request], None]


def log_error(error: Exception, request: Request) -> None:
    """Log an exception that was no answer: with its traceback, unless it carries an errno."""
    expected = isinstance(getattr(error, "errno", None), int)
    _log.error("%r failed: %s", request, error, exc_info=None if expected else error)


class Server(Notifier):
    """Serves one mount from its descriptor.

    To stop it, unmount; there is no other way that loses nothing. ``guard`` is held while a
    method of the handler runs and its reply is encoded, but not while the server waits: another
    thread that holds it may touch the handler's state between two requests. It must not wait for
    a file operation in the mount, nor send notifications, while it holds the guard.
    """

    def __init__(
        self,
        descriptor: int,
        handler: Handler,
        config: Config | None = None,
        *,
        guard: AbstractContextManager[Any] | None = None,
        on_error: ErrorHook = log_error,
    ) -> None:
        super().__init__(descriptor)
        self._handler = handler
        self._config = Config() if config is None else config
        self._guard: AbstractContextManager[Any] = threading.Lock() if guard is None else guard
        self._on_error = on_error
        self._pool = Pool(self._config.deferred_threads, "fuse")
        self._delays = Delays("fuse-later")
        self._rounds = Rounds("fuse-rounds")
        #: Deferred requests that have no reply yet, by their unique number.
        self._deferred: dict[int, Request] = {}
        #: Opcode to bound method, smallest size, decoder, encoder; filled by INIT.
        self._table: dict[int, tuple[Any, ...]] = {}
        self._info: InitInfo | None = None
        self._buffer = bytearray(buffer_size(self._config))

    @property
    def info(self) -> InitInfo | None:
        """What was agreed on with the kernel; None before that."""
        return self._info

    def serve(self) -> None:
        """Answer requests until the filesystem is unmounted, then close the descriptor.

        Deferred requests are finished, and the handler is told to end, before this returns.
        Raises FuseError if the kernel is too old, and whatever the handler's ``init`` raises. A
        signal handler that runs on this thread should not raise: it would interrupt an operation,
        whose answer an ``Exception`` becomes. Let it start a thread that unmounts.
        """
        try:
            self._answer()
        finally:
            self._delays.drain()
            self._rounds.drain()
            self._pool.drain()
            try:
                if self._info is not None:
                    with self._guard:
                        self._handler.destroy()
            finally:
                self._close()

    # --- the loop -------------------------------------------------------------------------------

    def _answer(self) -> None:  # noqa: C901, PLR0912
        """Read and answer until the end.

        All that happens for each request stands here, without further calls: they are what an
        answer costs.
        """
        descriptor, buffer, table, guard = self._descriptor, self._buffer, self._table, self._guard
        buffers = [buffer]
        readv, write, unpack = os.readv, os.write, wire.REQUEST_HEADER.unpack_from
        smallest_message = wire.REQUEST_HEADER.size
        wait = Vigil(descriptor).wait
        request = Request()
        while True:
            try:
                length = readv(descriptor, buffers)
            except BlockingIOError:
                wait(not self._deferred)  # other threads that answer need the interpreter
                continue
            except OSError as error:
                if self._is_over(error):
                    return
                continue
            if length < smallest_message:
                if length:
                    continue
                return
            (
                _, opcode, unique, request.nodeid, request.uid, request.gid, request.pid, _, _,
            ) = unpack(buffer)  # fmt: skip
            request.opcode = opcode
            request.unique = unique
            operation = table.get(opcode)
            if operation is None or length < operation[1]:
                self._answer_special(request, length)
                continue
            method, _, decode, encode = operation
            try:
                arguments = decode(buffer, length)
            except requests.MALFORMED as error:
                self._reply(self._refuse(error, request, errno.EINVAL), request)
                continue
            try:
                with guard:
                    result = method(request, *arguments)
                    if result.__class__ is Deferred:
                        self._defer(request, result, encode, arguments)
                        request = Request()
                        continue
                    reply = encode(unique, result, arguments)
            except Exception as error:
                reply = self._refuse(error, request)
            if reply.__class__ is bytes:
                try:
                    write(descriptor, reply)
                except OSError as error:
                    self._reply_failed(error, request)
            else:
                self._reply(reply, request)

    def _is_over(self, error: OSError) -> bool:
        """Say whether a failed read of the device means that the filesystem is gone."""
        if error.errno in _READ_AGAIN:
            return False
        if error.errno in _GONE:
            return True
        raise error

    def _answer_special(self, request: Request, length: int) -> None:
        """Answer what is the server's own, unknown, or too short for its opcode."""
        opcode, unique = request.opcode, request.unique
        if opcode == Opcode.INIT:
            self._answer_init(request, length)
            return
        try:
            with self._guard:
                if opcode == Opcode.FORGET:
                    self._handler.forget(request.nodeid, requests.forget(self._buffer, length))
                    return
                if opcode == Opcode.BATCH_FORGET:
                    self._handler.batch_forget(requests.batch_forget(self._buffer, length))
                    return
            if opcode == Opcode.INTERRUPT:
                self._interrupt(requests.interrupt(self._buffer, length))
            elif opcode == Opcode.DESTROY:
                self._reply(nothing(unique, None, ()), request)
            elif opcode in self._table:
                error = ValueError(f"{length} bytes are too few for opcode {opcode}")
                self._reply(self._refuse(error, request, errno.EINVAL), request)
            elif opcode != Opcode.NOTIFY_REPLY:
                self._reply(failure(unique, errno.ENOSYS), request)
        except Exception as error:
            self._report(error, request)

    def _answer_init(self, request: Request, length: int) -> None:
        """Answer INIT, and be ready for what follows; or refuse the whole mount, and raise."""
        try:
            info, reply = answer_init(self._config, self._buffer, length)
            if info is not None:
                with self._guard:
                    self._handler.init(info)
        except BaseException:
            self._reply(failure(request.unique, errno.EPROTO), request)
            raise
        if info is not None:
            self._info = info
            for opcode, (method, *rest) in operations_for(info.flags).items():
                self._table[opcode] = (getattr(self._handler, method), *rest)
        self._reply(reply, request)

    # --- deferred requests ----------------------------------------------------------------------

    def _defer(
        self, request: Request, deferred: Deferred, encode: Encode, arguments: tuple[Any, ...]
    ) -> None:
        """Have the answer made by the pool, or later. ``request`` is not reused."""
        for argument in arguments:
            if argument.__class__ is memoryview:
                # The next request overwrites it: better an exception than wrong data.
                argument.release()
        function = deferred.function

        def answer() -> None:
            try:
                reply = encode(request.unique, function(), arguments)
            except Exception as error:
                reply = self._refuse(error, request)
            # Before the reply: after it the kernel may use the number again.
            self._deferred.pop(request.unique, None)
            self._reply(reply, request, at_once=deferred.shared)

        self._deferred[request.unique] = request
        if deferred.delay:
            self._delays.submit(deferred.delay, answer)
        elif deferred.shared:
            self._rounds.submit(answer)
        else:
            self._pool.submit(answer)

    def _interrupt(self, unique: int) -> None:
        """Mark a request as interrupted, if it is still under way.

        One thread reads, so every request that the kernel names here was seen before: if it is
        not known any more, its reply is on its way.
        """
        request = self._deferred.get(unique)
        if request is not None:
            request.interrupted = True

    # --- replies --------------------------------------------------------------------------------

    def _refuse(self, error: Exception, request: Request, otherwise: int = errno.EIO) -> bytes:
        """Return the reply for an exception, and report it unless it is a plain answer."""
        number = getattr(error, "errno", None)
        if not isinstance(number, int) or not 0 < number <= _LARGEST_ERRNO:
            self._report(error, request)
            number = otherwise
        elif not isinstance(error, OSError):
            self._report(error, request)
        return failure(request.unique, number)

    def _reply(self, reply: Reply, request: Request, *, at_once: bool = False) -> None:
        try:
            if isinstance(reply, bytes):
                (write_at_once if at_once else os.write)(self._descriptor, reply)
            else:
                os.writev(self._descriptor, reply)
        except OSError as error:
            self._reply_failed(error, request)

    def _reply_failed(self, error: OSError, request: Request) -> None:
        """Go on: the kernel has ended the request itself, with EIO if it disliked the reply."""
        if error.errno not in NOT_WANTED:
            self._report(error, request)

    def _report(self, error: Exception, request: Request) -> None:
        """Call the hook; an error in it must not end the conversation."""
        try:
            self._on_error(error, request)
        except Exception:
            _log.exception("reporting an error of %r failed", request)
