"""An export from its beginning to its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import zstandard

from djafs.errors import UsageError
from djafs.tools.export.directory import write_directory
from djafs.tools.export.summary import ExportSummary, InterruptedExportError, Tick
from djafs.tools.export.tarball import write_tar
from djafs.tools.export.view import View, open_view


def export(
    store: str, day: int, below: bytes, output: str, tick: Tick, *, level: int = 9
) -> ExportSummary:
    """Write a tree of the store at ``store`` to ``output``, and say what was done.

    ``output`` is ``-`` (a tar to stdout), ends in ``.tar`` or ``.tar.zst``, or is a directory
    that is empty or does not exist. Raises UsageError, NotAStoreError, OSError and whatever else
    opening a store raises.
    """
    summary = ExportSummary()
    is_tar = output == "-" or output.endswith((".tar", ".tar.zst"))
    if not is_tar and os.path.exists(output) and os.listdir(output):
        raise UsageError(f"{output} is not empty: give a new directory, or a name ending in .tar")
    with open_view(store, day, below) as view:
        try:
            if is_tar:
                _export_tar(view, output, level, summary, tick)
            else:
                os.makedirs(output, exist_ok=True)
                write_directory(view, output, summary, tick)
        except InterruptedExportError:
            summary.interrupted = True
    summary.finish()
    return summary


def _export_tar(view: View, output: str, level: int, summary: ExportSummary, tick: Tick) -> None:
    if output == "-":
        write_tar(view, sys.stdout.buffer, summary, tick)
        return
    with _complete(output) as file:
        if not output.endswith(".zst"):
            write_tar(view, file, summary, tick)
            return
        compressor = zstandard.ZstdCompressor(level, threads=-1, write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as compressed:
            write_tar(view, compressed, summary, tick)


@contextmanager
def _complete(path: str) -> Iterator[IO[bytes]]:
    """Give a file that gets its name when it is whole and durable."""
    draft = path + ".tmp"
    try:
        with open(draft, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
