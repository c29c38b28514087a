"""How many requests of the kernel each operation costs, counted with strace on djafs' daemon.

strace shows the first bytes of everything that the daemon reads from ``/dev/fuse``: the header of a
request, with its opcode (``fuse_in_header`` in ``linux/fuse.h``).
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import documents
import measure
import mounts
import toolchain
from bench import Bench, say
from measure import Load
from mounts import Mounted
from peers import fresh

from djafs.fuse.wire import Opcode

FILES = 100
UNCOUNTED = {"FORGET", "BATCH_FORGET", "INTERRUPT"}
"""They need no answer, and come whenever the kernel likes."""

READ = re.compile(r'readv\(\d+, \[\{iov_base="((?:\\x[0-9a-f]{2}){8})')
PHASES = {
    "create": "create + write + close, 12 KiB",
    "stat": "stat of each file, first",
    "stat:stat_again": "stat, again",
    "read": "open + read + close, first",
    "read:read_again": "open + read + close, again",
    "list": "list the directory of 100, first",
    "list:list_again": "list it again",
    "rename": "rename",
    "unlink": "unlink",
}


@contextlib.contextmanager
def counted(where: Mounted, log: Path) -> Iterator[Counter[str]]:
    """Count what the daemon reads while the block runs, by the name of the opcode."""
    assert where.daemon is not None
    command = ["strace", "-qq", "-xx", "-s", "8", "-e", "trace=readv", "-o", str(log)]
    log.unlink(missing_ok=True)
    tracer = subprocess.Popen([*command, "-p", str(where.daemon.pid)])
    found: Counter[str] = Counter()
    try:
        marker(where, log)
        begin = log.stat().st_size
        yield found
        time.sleep(0.1)  # for what the kernel sends behind the client's back
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    for match in READ.finditer(log.read_text()[begin:]):
        header = bytes.fromhex(match.group(1).replace("\\x", ""))
        opcode = int.from_bytes(header[4:8], "little")
        name = next((member.name for member in Opcode if member == opcode), str(opcode))
        if name not in UNCOUNTED:
            found[name] += 1


def marker(where: Mounted, log: Path) -> None:
    """Wait until the tracer sees what is asked of the daemon."""
    deadline = time.monotonic() + 20
    while not log.exists() or not READ.search(log.read_text()):
        if time.monotonic() > deadline:
            raise mounts.MountError("strace sees no request")
        where.run(["stat", "-f", where.root])


def requests(bench: Bench) -> None:
    """Count the requests of single operations, of rsync, and in a day's snapshot."""
    peer = bench.djafs()
    if peer is None:
        return
    toolchain.program("strace")
    blob = documents.write_blob(bench.scratch / "counted-blob", FILES, 12 << 10)
    load = Load(FILES, blob, 12 << 10)
    tree = documents.write_sensor_tree(bench.scratch / "counted-source", FILES, stations=4)
    log = bench.scratch / "strace"
    with fresh(peer, bench.scratch, None) as where:
        directory = measure.make_directory(where, "counted")
        measure.run_client(where, directory, load, 0, ["create"])
        measure.run_client(where, directory, load, 0, ["unlink"])
        for phase, title in PHASES.items():
            command = [str(toolchain.client()), *words(directory, load), phase]
            if phase == "unlink":
                measure.run_client(where, directory, load, 0, ["create"])
            note(bench, title, count(where, log, command), 1 if "list" in phase else FILES)
        program = toolchain.program("rsync")
        target = measure.make_directory(where, "target")
        for title in ("`rsync -a`, per file", "`rsync -a` again, nothing changed, per file"):
            command = [str(program), "-a", f"{tree.path}/", f"{target}/"]
            note(bench, title, count(where, log, command), FILES)
        where.run([toolchain.djafs(), "gc", where.mountpoint])
        past(bench, where, tree, log)


def past(bench: Bench, where: Mounted, tree: documents.Tree, log: Path) -> None:
    """Count what is asked in the snapshot of a day."""
    day = where.mountpoint / "snapshots" / f"{documents.FIRST_DAY:%Y/%m/%d}" / "target"
    names = sorted(str(path.relative_to(tree.path)) for path in tree.path.rglob("*.json"))[:FILES]
    listed = bench.scratch / "counted-names"
    first = f"{documents.FIRST_DAY:%Y-%m-%d}"
    listed.write_text("".join(f"{name}\n" for name in names if first in name))
    files = len(listed.read_text().split())
    for step, title in (
        ("stat", "in a snapshot: stat of STATION/DAY/NAME"),
        ("read", "in a snapshot: open + read + close of STATION/DAY/NAME"),
    ):
        command = [str(toolchain.reader()), "paths", str(day), str(listed), step]
        note(bench, title, count(where, log, command), files)


def words(directory: Path, load: Load) -> list[str]:
    return [str(word) for word in (directory, load.count, load.blob, load.size, 0)]


def count(where: Mounted, log: Path, command: list[str]) -> Counter[str]:
    with counted(where, log) as found:
        where.run(command)
    return found


def note(bench: Bench, title: str, found: Counter[str], per: int) -> None:
    """Keep the requests per operation."""
    bench.counts[title] = {name: number / per for name, number in found.most_common()}
    say(f"  {title}: " + ", ".join(f"{n} {v:.2f}" for n, v in bench.counts[title].items()))
