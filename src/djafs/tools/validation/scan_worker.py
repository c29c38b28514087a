"""The other process of a check: ``python -m djafs.tools.validation.scan_worker``.

Its arguments are the root of the store, a directory of the workspace, and the process id of the
parent. It reads the archives of the store one by one, writes what is in each that is whole into
that directory (``scans`` is the other side), and then its number to stdout. It ends with its
parent, and changes nothing in the store.
"""

from __future__ import annotations

import os
import sys

from djafs.disk.archive_scan import ArchiveScan
from djafs.disk.layout import Layout, numbers
from djafs.errors import ArchiveDamageError
from djafs.packing import child
from djafs.tools.validation.scans import MEMBER, NUMBER, Whole, path_of, stamp_of

NAME = "djafs-validate"
"""What ps(1) shows."""


def scan(archive: str, target: str) -> None:
    """Write to ``target`` what the file ``archive`` holds, if it is whole in itself.

    Raises ArchiveDamageError if it is not, and OSError.
    """
    stamp = stamp_of(archive)
    found = ArchiveScan(archive)
    with open(target, "xb") as file:
        file.writelines(MEMBER.pack(at, size, digest) for _, at, size, digest in found)
        whole = Whole(found.size, found.tar_size, found.frames, found.file_digest.encode(), *stamp)
        file.write(whole.packed())


def main() -> int:
    """Run as the child of a check."""
    root, directory = child.begin(2, NAME, nice=0)
    layout = Layout(root)
    for number in numbers(layout.archives, "tar.zst"):
        target = path_of(directory, number)
        try:
            scan(layout.archive(number), target)
        except (ArchiveDamageError, OSError):
            # The parent looks at it itself, and says what is wrong.
            if os.path.exists(target):
                os.unlink(target)
        try:
            os.write(1, NUMBER.pack(number))
        except BrokenPipeError:
            return 1  # the parent wants no more
    return 0


if __name__ == "__main__":
    sys.exit(main())
