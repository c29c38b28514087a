"""The .djfm file: what is written is read, and people can read it too."""

import json
from pathlib import Path

import pytest

from djafs.disk.archive_metadata import ArchiveMetadata, decode, encode, rfc3339
from djafs.errors import ArchiveDamageError

METADATA = ArchiveMetadata(
    archive=17,
    members=2042,
    content_bytes=16_063_711,
    tar_bytes=17_593_856,
    compressed_bytes=2_931_734,
    frames=68,
    oldest_ns=1_789_862_700_000_000_000,
    newest_ns=1_790_294_700_000_000_000,
    level=9,
    sha256="7a" * 32,
    created_ns=1_790_381_234_567_890_123,
)


def test_what_is_encoded_is_decoded():
    assert decode(encode(METADATA), "17.djfm") == METADATA


def test_the_keys_are_those_of_the_format_page():
    keys = json.loads(encode(METADATA))
    assert keys["format"] == "djafs-archive"
    assert keys["version"] == 1
    assert keys["oldest"] == "2026-09-20T00:05:00.000000000Z"
    assert keys["newest"] == "2026-09-25T00:05:00.000000000Z"
    assert keys["created"] == "2026-09-26T00:07:14.567890123Z"
    assert list(keys) == [
        "format", "version", "archive", "members", "content_bytes", "tar_bytes",
        "compressed_bytes", "frames", "oldest_ns", "newest_ns", "level", "sha256", "created_ns",
        "oldest", "newest", "created",
    ]  # fmt: skip


def test_the_example_of_the_format_page_is_one():
    page = (Path(__file__).parents[3] / "docs/formats/archive.md").read_bytes()
    example = page.partition(b"```json\n")[2].partition(b"```")[0]
    assert encode(decode(example, "17.djfm")) == example


def test_unknown_keys_are_ignored():
    keys = {**json.loads(encode(METADATA)), "colour": "green"}
    assert decode(json.dumps(keys).encode(), "17.djfm") == METADATA


@pytest.mark.parametrize(
    ("nanoseconds", "written"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        ((1 << 63) - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(1 << 63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_times_are_written_to_the_nanosecond(nanoseconds: int, written: str):
    assert rfc3339(nanoseconds) == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"{}", "missing required field"),
        (encode(METADATA).replace(b"2042", b'"many"'), "Expected `int`"),
        (encode(METADATA).replace(b'"version": 1', b'"version": 2'), "version 2"),
        (encode(METADATA).replace(b"djafs-archive", b"something"), "format 'something'"),
        (b"\xff", "is damaged"),
    ],
)
def test_what_is_no_metadata_is_damage(content: bytes, message: str):
    with pytest.raises(ArchiveDamageError, match=message):
        decode(content, "17.djfm")
