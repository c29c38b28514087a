"""What an archive holds, in numbers: the ``.djfm`` file beside it.

Keys and their meaning: "Metadata" in docs/formats/archive.md.
"""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec

from djafs.errors import ArchiveDamageError

_SECOND = 1_000_000_000


class ArchiveMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of one archive; the fields are the keys of the file.

    Times are nanoseconds since 1970. ``oldest_ns`` and ``newest_ns`` are None exactly when
    ``members`` is 0, which no archive in a store is.
    """

    format: str = "djafs-archive"
    version: int = 1
    archive: int
    members: int
    content_bytes: int
    tar_bytes: int
    compressed_bytes: int
    frames: int
    oldest_ns: int | None
    newest_ns: int | None
    level: int
    sha256: str
    created_ns: int


def rfc3339(nanoseconds: int) -> str:
    """Write a time since 1970 as RFC 3339 in UTC, to the nanosecond."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    moment = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment:0>19}.{fraction:09d}Z"


def encode(metadata: ArchiveMetadata) -> bytes:
    """Write the content of a ``.djfm`` file."""
    keys = msgspec.to_builtins(metadata)
    for name in ("oldest", "newest", "created"):
        nanoseconds = keys[f"{name}_ns"]
        keys[name] = None if nanoseconds is None else rfc3339(nanoseconds)
    return msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n"


def decode(content: bytes, path: str) -> ArchiveMetadata:
    """Read the content of the ``.djfm`` file at ``path``.

    Raises ArchiveDamageError if it is not one, or one of a later version.
    """
    try:
        metadata = msgspec.json.decode(content, type=ArchiveMetadata)
    except msgspec.DecodeError as error:  # its subclass ValidationError too
        raise ArchiveDamageError(f"archive metadata {path} is damaged: {error}") from None
    if (metadata.format, metadata.version) != ("djafs-archive", 1):
        raise ArchiveDamageError(
            f"archive metadata {path} is of format {metadata.format!r} version "
            f"{metadata.version}, which this djafs does not know"
        )
    return metadata
