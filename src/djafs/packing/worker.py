"""The packer: ``python -m djafs.packing.worker``, started by the daemon for one plan.

A fresh process, so that compressing never holds up the thread that answers the kernel, and so
that neither ``/dev/fuse`` nor the store's lock leaks into it. It reads the plan from stdin and
writes the result to stdout (``wire``), runs at low priority, and ends with its parent. It changes
nothing in the store but the draft of its archive.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO

from djafs.disk.layout import Layout
from djafs.errors import DjafsError
from djafs.packing import child, wire
from djafs.packing.pack import Known, pack


def serve(source: BinaryIO, target: BinaryIO, open_finder: Callable[[Layout], Known]) -> int:
    """Carry out the plan in ``source``, write the result to ``target``; return an exit status."""
    try:
        begin, plan = wire.read_plan(source.read)
        layout = Layout(begin.root)
        known = open_finder(layout) if begin.find_known else _none_known
        result = pack(plan, layout, known, threads=begin.threads)
    except DjafsError as error:
        target.write(wire.encode("error", str(error), error.errno))
        return 1
    except OSError as error:
        what = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        target.write(wire.encode("error", what, error.errno or 0))
        return 1
    target.writelines(wire.result_messages(result))
    return 0


def _none_known(_: bytes) -> None:
    return None


def main() -> int:
    """Run as the daemon's child, whose process id is the only argument."""
    child.begin(0)
    from djafs.disk.index import open_content_finder  # noqa: PLC0415

    # Whatever prints goes to stderr; stdout carries nothing but messages.
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        with target:
            return serve(sys.stdin.buffer, target, open_content_finder)
    except BrokenPipeError:
        return 1  # the daemon does not want the result any more
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
