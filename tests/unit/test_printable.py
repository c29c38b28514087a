"""Names of any bytes in messages of one line."""

from __future__ import annotations

import pytest

from djafs.printable import printable


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain ä 文", "plain ä 文"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m\x07\x7f\x9b", r"\x1b[31m\x07\x7f\x9b"),
        ("\udcff", "\udcff"),
        ("back\\slash 'quoted'", "back\\slash 'quoted'"),
    ],
)
def test_control_characters_are_written_out(text, line):
    assert printable(text) == line
