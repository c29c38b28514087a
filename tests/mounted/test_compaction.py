"""Compaction and checkpoints under a mount: fewer files on disk, and nobody notices."""

from __future__ import annotations

import json
import os
import threading

from rig.command import djafs_ok


def test_small_archives_and_the_log_shrink_under_readers_and_writers(mounted):
    documents = {f"{n}.json": json.dumps({"document": n}).encode() * 200 for n in range(60)}
    for number, (name, content) in enumerate(documents.items()):
        (mounted.live / name).write_bytes(content)
        if number % 10 == 9:
            assert mounted.gc()["archives"] == 1
    archives = mounted.storage / "archives"
    assert len(list(archives.glob("*.tar.zst"))) == 6
    reading = os.open(mounted.live / "0.json", os.O_RDONLY)
    stop, wrong = threading.Event(), []

    def read_and_write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            (mounted.live / "busy").write_bytes(b"%d" % turn)
            for name, content in documents.items():
                if (mounted.live / name).read_bytes() != content:
                    wrong.append(name)

    thread = threading.Thread(target=read_and_write)
    thread.start()
    try:
        done = json.loads(djafs_ok("gc", "--json", "--compact", mounted.mountpoint))
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert done["compacted"] >= 6
    assert done["reclaimed"] > 0
    assert len(list(archives.glob("*.tar.zst"))) == 1
    assert os.pread(reading, 1 << 20, 0) == documents["0.json"]
    os.close(reading)
    lookups = sorted(path.name for path in (mounted.storage / "lookups").iterdir())
    assert [name.partition(".")[2] for name in lookups] == ["djfc.zst", "djfl"]
    line = djafs_ok("gc", "--compact", mounted.mountpoint)
    assert "s)" in line
    mounted.unmount()
    (mounted.storage / "index.sqlite").unlink()
    mounted.start()
    assert "rebuilt" in mounted.messages()
    assert {n: (mounted.live / n).read_bytes() for n in documents} == documents
    latest = mounted.snapshots / "latest"
    assert {n: (latest / n).read_bytes() for n in documents} == documents
