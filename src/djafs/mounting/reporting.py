"""Where the daemon's messages go: syslog or a file, and stderr in the foreground.

Modules log through ``logging.getLogger("djafs...")``; this is the only place that decides what
becomes of it. An exception that nobody caught, in any thread, is logged too.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
import threading
from types import TracebackType
from typing import TextIO

from djafs.errors import MountError
from djafs.printable import printable

SYSLOG_SOCKET = "/dev/log"


class OneLine(logging.Formatter):
    """A formatter that keeps every message, whatever names it quotes, on a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the record's line, without the traceback that may follow it."""
        record.message = printable(record.message)
        return super().formatMessage(record)


def start(*, log_file: str | None, foreground: bool) -> None:
    """Send what ``djafs`` logs from now on to its places.

    Raises MountError when the log file cannot be written.
    """
    logger = logging.getLogger("djafs")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    for handler in _handlers(log_file, foreground):
        logger.addHandler(handler)
    logging.raiseExceptions = False  # a full disk under the log is no reason to write elsewhere
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _handlers(log_file: str | None, foreground: bool) -> list[logging.Handler]:
    handlers: list[logging.Handler] = []
    if log_file is not None:
        handlers.append(_file(log_file))
    else:
        handlers += _syslog()
    if foreground:
        handlers.append(_stream(sys.stderr))
    # Without this, logging would fall back to a stderr that nobody reads.
    return handlers or [logging.NullHandler()]


def _file(path: str) -> logging.Handler:
    """Return a handler for a file, which is opened anew when logrotate has moved it away."""
    try:
        handler = logging.handlers.WatchedFileHandler(
            path, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise MountError(f"cannot write the log file {path}: {error.strerror}") from None
    handler.setFormatter(OneLine("%(asctime)s djafs[%(process)d] %(levelname)s %(message)s"))
    return handler


def _syslog() -> list[logging.Handler]:
    """Return a handler for syslog, or nothing where no syslog listens (in a container, say)."""
    try:
        handler = logging.handlers.SysLogHandler(
            address=SYSLOG_SOCKET, facility=logging.handlers.SysLogHandler.LOG_DAEMON
        )
    except OSError:
        return []
    handler.setFormatter(_Encodable("%(message)s"))
    handler.ident = f"djafs[{os.getpid()}]: "
    handler.append_nul = False
    return [handler]


class _Encodable(OneLine):
    """For a handler that cannot encode surrogates, as which names that are not UTF-8 arrive."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record with every surrogate written out."""
        return super().format(record).encode("utf-8", "backslashreplace").decode("utf-8")


def _stream(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine("djafs: %(message)s"))
    return handler


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("djafs").critical("internal error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
        _log_uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
