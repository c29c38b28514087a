"""What a packed store weighs against its peers, and how fast ``validate`` goes through it."""

# ruff: noqa: RUF001 - the times sign is meant

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import documents
import images
import mounts
import peers
import space
import toolchain
from bench import Bench, say
from peers import Peer


def sizes(bench: Bench) -> None:
    """Weigh archives, log and index; time ``validate``."""
    peer = bench.djafs()
    if peer is None:
        return
    for tree in space.trees(bench, "sizes", bench.settings.sizes_files):
        say(f"sizes: {tree.name}")
        bench.sources.append(tree)
        name = tree.name.split()[0]
        with peers.place(peer, bench.scratch) as place:
            images.make_store(tree.path, place.backing)
            archives = space.bytes_below(place.backing / "archives")
            weigh(bench, tree, archives, bench.scratch / f"weighed-{name}")
            if tree.files >= bench.settings.sizes_files:
                validate(bench, place.backing, tree)
                per_file(bench, place.backing, tree, "brought in by `djafs convert`", "convert")
        if tree.files >= bench.settings.sizes_files:
            by_rsync(bench, peer, tree)


def weigh(bench: Bench, tree: documents.Tree, archives: int, where: Path) -> None:
    """Hold the archives against zip and mksquashfs."""
    where.mkdir()
    name = tree.name.split()[0]
    bench.gauge(
        f"sizes-source-{name}", f"{tree.name}: archives", archives / tree.size, "×", "the source"
    )
    try:
        images.fill("sh", "-c", 'cd "$1" && zip -qr "$2" .', "sh", tree.path, where / "tree.zip")
        of = "`zip -r`: each file deflated by itself"
        zipped = space.bytes_below(where / "tree.zip")
        bench.gauge(f"sizes-zip-{name}", f"{tree.name}: archives", archives / zipped, "×", of)
        toolchain.program("mksquashfs")
        images.make_squashfs(tree.path, where)
        image = space.bytes_below(where / "image.squashfs")
        of = "`mksquashfs`, zstd, same level and block"
        bench.gauge(f"sizes-squashfs-{name}", f"{tree.name}: archives", archives / image, "×", of)
    except (OSError, mounts.MountError, toolchain.UnavailableError) as error:
        bench.notes.append(f"sizes: {error}")
    mounts.remove(where)


def per_file(bench: Bench, store: Path, tree: documents.Tree, how: str, key: str) -> None:
    """Note the bytes per file of log and index."""
    for part, what in (("lookups", "lookup log"), ("index.sqlite", "index")):
        value = space.bytes_below(store / part) / tree.files
        of = f"{tree.files:,} {tree.name}, {how}"
        bench.gauge(f"per-file-{part.split('.')[0]}-{key}", what, value, "bytes per file", of)


def by_rsync(bench: Bench, peer: Peer, tree: documents.Tree) -> None:
    """Bring a tree in through a mount, pack it all, and weigh log and index."""
    with peers.place(peer, bench.scratch) as place:
        with peer.mount(place.mounted(None)) as where:
            where.run([toolchain.program("rsync"), "-a", f"{tree.path}/", f"{where.root}/"], 3600)
            where.run([toolchain.djafs(), "gc", "--compact", where.mountpoint], 3600)
        per_file(bench, place.backing, tree, "by `rsync -a` and `djafs gc --compact`", "rsync")


def validate(bench: Bench, store: Path, tree: documents.Tree) -> None:
    """Time ``validate`` and ``zstd -dc | sha256sum`` of the same archives, in turn."""
    checked = [str(toolchain.djafs()), "validate", "-p", str(store)]
    script = 'for a in "$1"/archives/*.tar.zst; do zstd -dc "$a"; done | sha256sum'
    plain = ["sh", "-c", script, "sh", str(store)]
    times: dict[str, list[float]] = {"validate": [], "plain": []}
    for _ in range(3):
        for key, command in (("validate", checked), ("plain", plain)):
            begin = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            times[key].append(time.monotonic() - begin)
    ratio = min(times["plain"]) / min(times["validate"])
    of = f"the speed of `zstd -dc` into `sha256sum` ({tree.files:,} files)"
    bench.gauge("validate", "`djafs validate`", ratio, "×", of)
