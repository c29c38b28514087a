"""What a store shows, as JSON that is kept beside it (tests/golden)."""

from __future__ import annotations

import json
from pathlib import Path

from djafs.disk.records import bytes_of, text_of
from rig.looking import Seen, Shown


def write_manifest(path: Path, seen: Seen) -> None:
    """Write one line for each path, in order. Bytes that are not UTF-8 are as in the lookup log."""
    lines = []
    for name, shown in sorted(seen.items()):
        assert isinstance(shown, Shown), f"{name!r} cannot be read"
        fields = shown._asdict()
        fields["xattrs"] = [[text_of(n), v.hex()] for n, v in shown.xattrs]
        lines.append(json.dumps({"path": text_of(name), **fields}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_manifest(path: Path) -> Seen:
    """Read what :func:`write_manifest` wrote."""
    seen: Seen = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        name = bytes_of(fields.pop("path"))
        fields["xattrs"] = tuple((bytes_of(n), bytes.fromhex(v)) for n, v in fields["xattrs"])
        seen[name] = Shown(**fields)
    return seen
