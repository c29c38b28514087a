"""Makes recovery data of one archive: ``python -m djafs.packing.parity_worker`` with arguments.

These are the root of the store, the number of the archive, the percentage, the threads, the
workspace, and the process id of the parent. A process of its own, as the packer is: it reads the
whole archive, and starts ``par2``, at low priority and until its parent ends.
"""

from __future__ import annotations

import sys

from djafs.disk import archive_metadata, parity
from djafs.disk.host import Host, no_follow
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError
from djafs.packing import child
from djafs.packing.asked import answer


def make(
    layout: Layout,
    number: int,
    percent: int,
    workspace: str,
    threads: int,
    host: Host | None = None,
) -> int:
    """Make the recovery data of an archive that is as its metadata says; return its bytes.

    Raises as :func:`djafs.disk.parity.create` does.
    """
    path = layout.archive_metadata(number)
    try:
        with open(path, "rb", opener=no_follow) as file:
            metadata = archive_metadata.decode(file.read(1 << 20), path)
    except FileNotFoundError:
        raise ArchiveDamageError(f"archive metadata {path} is missing") from None
    return parity.create(
        layout, number, percent, metadata.sha256, host=host, workspace=workspace, threads=threads
    )


def main() -> int:
    """Run as the daemon's child, and write one message to stdout."""
    root, number, percent, threads, workspace = child.begin(5)
    return answer(
        "made", lambda: make(Layout(root), int(number), int(percent), workspace, int(threads))
    )


if __name__ == "__main__":
    sys.exit(main())
