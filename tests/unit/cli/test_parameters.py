"""Sizes as users write them."""

from __future__ import annotations

import click
import pytest

from djafs.cli.parameters import checked_size, human_size

CONTEXT = click.Context(click.Command("mount"))
OPTION = click.Option(["--size"])


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1K", 1024),
        ("256M", 256 << 20),
        ("256m", 256 << 20),
        ("1G", 1 << 30),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("64KiB", 65536),
        ("64KB", 65536),
        (" 1 M ", 1 << 20),
    ],
)
def test_sizes(text, size):
    assert checked_size(CONTEXT, OPTION, text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1.5.5", "1e6", "0x10", "٣"])
def test_what_is_no_size(text):
    with pytest.raises(click.BadParameter):
        checked_size(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 50, "3072.0 TiB"),
    ],
)
def test_sizes_for_people(size, text):
    assert human_size(size) == text
