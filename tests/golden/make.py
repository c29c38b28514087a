"""Make the golden store of the present format: ``python tests/golden/make.py NAME``.

Run it when a format, or what a version writes, has changed; the stores that are there stay as
they are. Leaves ``NAME.tar.zst`` and ``NAME.jsonl`` beside this file (README.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, os.fspath(HERE.parent))  # for rig

from djafs.extents import PART  # noqa: E402
from djafs.tools.validate import validate  # noqa: E402
from rig.command import djafs_ok  # noqa: E402
from rig.looking import look  # noqa: E402
from rig.manifest import write_manifest  # noqa: E402
from rig.rich_store import RichStore, document  # noqa: E402
from rig.small_store import DAY  # noqa: E402

LARGE = bytes(PART + 10)
"""A first part of 16 MiB that is no hole, and costs nothing once it is compressed."""


def make(place: Path) -> Path:
    """Make the store below ``place``; return its path."""
    source = place / "source"
    source.mkdir()
    for number in range(5):  # brought in whole: records `file`
        (source / f"brought-{number}.json").write_bytes(document(number % 4 + 400))
        os.utime(source / f"brought-{number}.json", ns=(1_700_000_000 * 10**9 + number,) * 2)
    os.link(source / "brought-0.json", source / "brought-link.json")
    store = RichStore(place / "store")
    store.live(LARGE)
    now = store.now
    store.close()
    djafs_ok("convert", "-i", source, "-o", place / "store")
    store = RichStore(place / "store", now=now + 2 * DAY)
    store.file(b"after", document(500))
    store.close()
    return place / "store"


def main(name: str) -> None:
    """Make a golden store called ``name``."""
    archive, manifest = HERE / f"{name}.tar.zst", HERE / f"{name}.jsonl"
    if archive.exists():
        sys.exit(f"{archive} is there already: golden stores are never made again")
    with tempfile.TemporaryDirectory() as place:
        path = make(Path(place))
        if validate(os.fspath(path), verbose=False, report=print) != 0:
            sys.exit("the store is not valid")
        store = RichStore(path)
        write_manifest(manifest, look(store.store))
        store.close()
        command = ["tar", "--zstd", "--owner=0", "--group=0", "-cf", archive, "-C", path, "."]
        subprocess.run(command, check=True)
    print(f"{archive}: {archive.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
