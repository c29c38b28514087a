"""What each target is begun with: bytes that djafs writes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from djafs.disk import seek_table, tar

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1.tar.zst"


def seeds() -> dict[str, list[bytes]]:
    """Return what a golden store holds of each kind, by target."""
    with tempfile.TemporaryDirectory(prefix="djafs-fuzz-") as place:
        subprocess.run(["tar", "--zstd", "-xf", GOLDEN, "-C", place], check=True)
        store = Path(place)
        lines: list[bytes] = []
        for path in sorted(store.glob("lookups/*.djfl*")):
            lines += _plain(path).splitlines(keepends=True)
        archives = [path.read_bytes() for path in sorted(store.glob("archives/*.tar.zst"))]
        tars = [_plain(path) for path in sorted(store.glob("archives/*.tar.zst"))]
        checkpoints = [_plain(path) for path in sorted(store.glob("lookups/*.djfc.zst"))]
    groups = [b"".join(lines[n : n + 5]) for n in range(0, len(lines), 5)]
    tails = [a[-seek_table.tail_size(a[-seek_table.FOOTER_SIZE :]) :] for a in archives]
    bodies = [bytes([n]) + bytes(16) + b"name\0other\0" for n in range(40)]
    return {
        "log": groups,
        "replay": groups,
        "archive": [a for a in archives if len(a) < 20_000],
        "table": tails,
        "member": [t[: 2 * tar.BLOCK] for t in tars],
        "checkpoint": [b"".join(_unsummed(c)) for c in checkpoints],
        "request": [body + bytes(80) for body in bodies] + bodies,
    }


def _plain(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout


def _unsummed(checkpoint: bytes) -> list[bytes]:
    return [
        line.rpartition(b',"sum"')[0] + b"}\n" if b',"sum"' in line else line
        for line in checkpoint.splitlines(keepends=True)
    ]
