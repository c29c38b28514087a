"""Reading what is archived: every peer holds the same tree, compressed as it can, and is cold.

"Cold" is a new daemon on a new mount, with the kernel's caches dropped before it.
"""

from __future__ import annotations

import random
from pathlib import Path

import documents
import measure
import mounts
import toolchain
from bench import Bench, Table, Turn, say, take_turns
from mounts import Mounted

ROWS = {
    "walk": "read every file in directory order, cold, per file",
    "random": "read files at random, cold, per file",
    "find": "`find -type f`, cold, per file",
    "find_size": "`find -type f -printf %s` (a stat each), cold, per file",
    "count": "`djafs count`, cold, per file",
}
ABOUT = (
    "All hold the same {files:,} generated documents. djafs: `djafs convert`, level 9, frames of "
    "256 KiB; squashfuse: `mksquashfs -comp zstd -Xcompression-level 9 -b 256K`; ratarmount: the "
    "archive of the djafs store (a seekable `.tar.zst`), indexed beforehand; the others by their "
    "defaults. native is the tree itself, uncompressed. Random: {reads:,} different files, in the "
    "same order for all."
)


def archived(bench: Bench) -> None:
    """Time cold reading, walking and counting of an archived tree."""
    settings = bench.settings
    if not measure.can_drop_caches():
        bench.notes.append("archived: caches cannot be dropped (not root): left out.")
        return
    tree = documents.write_sensor_tree(bench.scratch / "archived-source", settings.archived_files)
    expected = measure.walk(None, tree.path)
    chosen = random_paths(bench.scratch / "random-paths", tree.path, settings.random_reads)
    about = ABOUT.format(files=tree.files, reads=chosen[1])
    for mode in settings.modes:
        table = Table(f"archived-{mode}", f"Archived files, cold, {mode}", ROWS, about=about)

        def turn(turn: Turn, table: Table = table) -> None:
            say(f"  {turn.peer.title}")
            if turn.peer.make is None:
                raise mounts.MountError("there is no way to fill it")
            turn.peer.make(tree.path, turn.place.backing)
            for row, value in cold(turn, tree, expected, chosen).items():
                table.add(row, turn.peer.key, value)

        take_turns(bench, table, settings.in_mode(settings.archived_rounds, mode), mode, turn)


def random_paths(where: Path, tree: Path, most: int) -> tuple[Path, int]:
    """Write names of files in a random order, the same at each run; return how many."""
    paths = sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file())
    random.Random("random reads").shuffle(paths)
    where.write_text("".join(f"{path}\n" for path in paths[:most]))
    return where, len(paths[:most])


def cold(
    turn: Turn, tree: documents.Tree, expected: measure.Walked, chosen: tuple[Path, int]
) -> dict[str, float]:
    """Return microseconds per file of each row, each on a mount of its own."""
    found = {}

    def fail(what: str) -> None:
        raise mounts.MountError(f"{what} in {turn.peer.title} is not what the source holds")

    with turn.mounted_cold() as where:
        walked = measure.walk(where, where.root)
        if (walked.files, walked.bytes, walked.sum) != (
            expected.files, expected.bytes, expected.sum,
        ):  # fmt: skip
            fail(f"what was read ({walked.files} files, {walked.bytes} bytes)")
        found["walk"] = walked.seconds / tree.files * 1e6
    with turn.mounted_cold() as where:
        found["random"] = measure.paths(where, where.root, chosen[0], ["read"])["read"].mean
    for row, words in (("find", "."), ("find_size", "%s\n")):
        with turn.mounted_cold() as where:
            command = ["find", where.root, "-type", "f", "-printf", words]
            found[row] = measure.timed(where, command) / tree.files * 1e6
    with turn.mounted_cold() as where:
        found["count"] = counted(where, tree.files) / tree.files * 1e6
    return found


def counted(where: Mounted, files: int) -> float:
    """Return the seconds that ``djafs count`` takes, the start of Python included."""
    command = [str(toolchain.djafs()), "count", str(where.root)]
    said: list[str] = []
    seconds = measure.timed(where, command, said)
    if int(said[0].strip().replace(",", "")) != files:
        raise mounts.MountError(f"djafs count says {said[0].strip()} of {files}")
    return seconds
