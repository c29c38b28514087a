#!/usr/bin/env python3
"""Write each message of a queue as one JSON document below a directory, such as a mount's live/.

Messages come on stdin, one JSON object a line, so that any queue's own client can feed it:

    mosquitto_sub -t 'sensors/#' -F '{"key": "%t", "value": %p}' | subscriber.py /mnt/archive/live
    kcat -C -b broker -t sensors -f '{"key": "%k", "value": %s}\\n' | subscriber.py --sync …

"key" becomes the path of the document (".json" is added), "value" its content. A reader sees the
old document or the new one and never a part: it is written under a temporary name and renamed.
After each line that is done with, "ok KEY" goes to stdout: what a subscriber would acknowledge.

While the file given by --pause-file exists, nothing is written and nothing more is taken from the
queue (docs/migration.md pauses a subscriber like this for the last rsync).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path


def path_of(root: Path, key: str) -> Path:
    """Return where the document of a key goes; no key leads out of ``root``."""
    parts = [part for part in key.split("/") if part]
    if not parts or any(part.startswith(".") or "\0" in part for part in parts):
        raise ValueError(f"not a key: {key!r}")
    return root.joinpath(*parts[:-1], parts[-1] + ".json")


def store(path: Path, content: bytes, sync: bool) -> None:
    """Replace ``path`` by ``content`` in one step; with ``sync`` it would survive a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One writer for each name is assumed, as a partitioned queue gives it.
    draft = path.with_name(f".{path.name}.tmp")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    if sync:  # the new name
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def main() -> int:
    """Take messages until the queue ends; return how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="directory for the documents")
    parser.add_argument(
        "--sync",
        action="store_true",
        help="answer only when a document would survive a power cut (fsync)",
    )
    parser.add_argument("--pause-file", type=Path, help="wait as long as this file exists")
    options = parser.parse_args()
    if not options.root.is_dir():
        parser.error(f"{options.root} is not a directory; is it mounted?")
    refused = 0
    for line in sys.stdin:
        while options.pause_file is not None and options.pause_file.exists():
            time.sleep(0.5)
        try:
            message = json.loads(line)
            path = path_of(options.root, message["key"])
            content = json.dumps(message["value"], indent=1, ensure_ascii=False).encode() + b"\n"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            print(f"subscriber: refused: {error}", file=sys.stderr)
            refused += 1
            continue
        store(path, content, options.sync)  # an OSError ends it: the message is not acknowledged
        print("ok", message["key"], flush=True)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
