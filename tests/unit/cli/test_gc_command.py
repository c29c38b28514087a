"""What djafs gc prints."""

from __future__ import annotations

import json

import pytest

from djafs.cli.main import main

DONE = {
    "archives": 2,
    "files": 1234,
    "bytes_in": 5 << 20,
    "bytes_out": 1 << 19,
    "duplicates": 1,
    "unsettled": 0,
    "failed": 0,
    "compacted": 0,
    "forgotten": 0,
    "reclaimed": 0,
    "protected": 0,
    "parity_bytes": 0,
    "unprotected": 0,
    "seconds": 0.25,
}


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch):
    def answer(**fields):
        reply = {**DONE, **fields}
        monkeypatch.setattr("djafs.mounting.control.request_gc", lambda mountpoint, compact: reply)
        return reply

    return answer


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "packed 1,234 files into 2 archives: 5.0 MiB to 512.0 KiB, 1 duplicate (0.2 s)"),
        (
            {"files": 1, "archives": 1, "duplicates": 0, "unsettled": 3},
            "packed 1 file into 1 archive: 5.0 MiB to 512.0 KiB, 0 duplicates;"
            " 3 files not yet settled (0.2 s)",
        ),
        ({"files": 0, "archives": 0}, "nothing to pack (0.2 s)"),
        (
            {"files": 0, "archives": 0, "compacted": 9, "reclaimed": 1 << 20},
            "nothing to pack; compacted 9 archives, 1.0 MiB came free (0.2 s)",
        ),
        (
            {"files": 0, "archives": 0, "compacted": 1, "reclaimed": -5},
            "nothing to pack; compacted 1 archive (0.2 s)",
        ),
        (
            {"files": 0, "archives": 0, "protected": 2, "parity_bytes": 2048, "unprotected": 1},
            "nothing to pack; recovery data for 2 archives: 2.0 KiB; none for 1 archive:"
            " see the log (0.2 s)",
        ),
        (
            {"files": 0, "archives": 0, "unsettled": 1},
            "nothing to pack; 1 file not yet settled (0.2 s)",
        ),
    ],
)
def test_one_line_says_what_was_done(done, capsys, fields, line):
    done(**fields)
    assert main(["gc", "/mnt/archive"]) == 0
    assert capsys.readouterr().out == line + "\n"


def test_damaged_content_is_said_and_makes_status_4(done, capsys):
    done(failed=2)
    assert main(["gc", "/mnt/archive"]) == 4
    assert "; 2 files cannot be read: see djafs validate (" in capsys.readouterr().out


def test_json_is_what_the_daemon_said(done, capsys):
    reply = done()
    assert main(["gc", "--json", "/mnt/archive"]) == 0
    assert json.loads(capsys.readouterr().out) == reply
