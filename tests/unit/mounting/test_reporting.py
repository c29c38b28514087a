"""Where messages of the daemon go."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from djafs.errors import MountError
from djafs.mounting import reporting


@pytest.fixture(autouse=True)
def logging_as_before(monkeypatch: pytest.MonkeyPatch):
    for module, name in (
        (sys, "excepthook"),
        (threading, "excepthook"),
        (logging, "raiseExceptions"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    logger = logging.getLogger("djafs")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    for handler in set(logger.handlers) - set(before[0]):
        handler.close()
    logger.handlers, logger.propagate, logger.level = before


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A syslog that listens in the test's directory."""
    monkeypatch.chdir(tmp_path)  # a socket's address is short, the path of the directory is not
    monkeypatch.setattr(reporting, "SYSLOG_SOCKET", "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("log")
        listener.settimeout(10)
        yield listener


def test_syslog(syslog: socket.socket):
    reporting.start(log_file=None, foreground=False)
    logging.getLogger("djafs.packing").info("packed %d files", 3)
    daemon_info = 3 << 3 | 6
    expected = f"<{daemon_info}>djafs[{os.getpid()}]: packed 3 files"
    assert syslog.recv(4096) == expected.encode()


def test_syslog_takes_names_of_any_bytes(syslog: socket.socket):
    reporting.start(log_file=None, foreground=False)
    logging.getLogger("djafs").error("torn: %s", "a\nb\udcff")
    assert syslog.recv(4096).endswith(rb"torn: a\nb\udcff")


def test_a_file_with_times(tmp_path: Path):
    log = tmp_path / "log"
    reporting.start(log_file=str(log), foreground=False)
    logging.getLogger("djafs").warning("full: %s", "x\ny")
    logging.getLogger("djafs").debug("not this")
    (line,) = log.read_text().splitlines()
    date, time, who, level, *message = line.split()
    assert (len(date), len(time)) == (len("2024-01-31"), len("23:59:59,999"))
    assert (who, level, message) == (f"djafs[{os.getpid()}]", "WARNING", ["full:", r"x\ny"])


def test_a_file_that_was_rotated_away_is_made_anew(tmp_path: Path):
    log = tmp_path / "log"
    reporting.start(log_file=str(log), foreground=False)
    logging.getLogger("djafs").info("one")
    log.rename(tmp_path / "log.1")
    logging.getLogger("djafs").info("two")
    assert log.read_text().endswith("two\n")


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(MountError, match=r"cannot write the log file .*/no/log: No such file"):
        reporting.start(log_file=str(tmp_path / "no" / "log"), foreground=False)


def test_the_foreground_also_writes_to_stderr(tmp_path: Path, capsys):
    reporting.start(log_file=str(tmp_path / "log"), foreground=True)
    logging.getLogger("djafs").info("mounted")
    assert capsys.readouterr().err == "djafs: mounted\n"
    assert (tmp_path / "log").read_text().endswith("mounted\n")


def test_without_syslog_the_background_is_silent(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(reporting, "SYSLOG_SOCKET", str(tmp_path / "no"))
    reporting.start(log_file=None, foreground=False)
    logging.getLogger("djafs").critical("lost")
    assert capsys.readouterr().err == ""


def test_a_syslog_that_goes_away_troubles_nobody(syslog: socket.socket, capsys):
    reporting.start(log_file=None, foreground=False)
    syslog.close()
    os.unlink("log")
    logging.getLogger("djafs").error("lost")
    assert capsys.readouterr().err == ""


def test_what_nobody_caught_is_logged_with_its_traceback(tmp_path: Path):
    log = tmp_path / "log"
    reporting.start(log_file=str(log), foreground=False)

    def fail() -> None:
        raise RuntimeError("defect")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    text = log.read_text()
    assert "CRITICAL internal error" in text
    assert "RuntimeError: defect" in text
    assert "in fail" in text
