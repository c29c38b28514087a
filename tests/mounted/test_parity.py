"""Recovery data: made by the mount, used by whoever has par2."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from rig.command import djafs, djafs_ok, refused


def documents(mounted, seed: int, size: int = 200_000) -> None:
    """Write a file that does not compress."""
    (mounted.live / f"{seed}.bin").write_bytes(random.Random(seed).randbytes(size))


def names(store: Path, suffix: str) -> list[str]:
    return sorted(
        path.name.removesuffix(suffix) for path in (store / "archives").glob(f"*{suffix}")
    )


def protected(store: Path) -> list[str]:
    """The archives that have recovery data."""
    return names(store, ".tar.zst.par2")


def parity_of(store: Path) -> int:
    return json.loads((store / "djafs.json").read_text())["parity"]


def test_par2_brings_a_damaged_archive_back_bit_for_bit(mount_store, store):
    mounted = mount_store("--gc-interval=86400", "--settle=0", "--parity=10")
    documents(mounted, 1)
    done = mounted.gc()
    assert (done["archives"], done["protected"], done["unprotected"]) == (1, 1, 0)
    archive, data = (store / "archives" / f"00000001.tar.zst{end}" for end in ("", ".par2"))
    assert data.stat().st_size == done["parity_bytes"]
    mounted.unmount()
    content = archive.read_bytes()
    subprocess.run(["par2", "verify", "-q", "-q", data], check=True)
    damaged = bytearray(content)
    for at in range(0, 6 * 40_000, 40_000):
        damaged[at % len(content)] ^= 0x10
    archive.write_bytes(damaged)
    assert djafs("validate", "-p", store).returncode == 4
    assert subprocess.run(["par2", "verify", "-q", "-q", data], check=False).returncode == 1
    subprocess.run(["par2", "repair", "-q", "-q", data], check=True)
    assert archive.read_bytes() == content
    assert archive.with_name(archive.name + ".1").read_bytes() == damaged
    os.unlink(archive.with_name(archive.name + ".1"))


def test_parity_stays_with_the_store_and_comes_to_what_lacks_it(mount_store, store):
    mounted = mount_store("--gc-interval=86400", "--settle=0")
    for seed in (1, 2):
        documents(mounted, seed, 50_000)
        assert mounted.gc()["protected"] == 0
    assert (parity_of(store), protected(store)) == (0, [])
    mounted.remount("--parity=30")  # what is there gets it in the background
    assert mounted.gc()["unprotected"] == 0
    assert protected(store) == ["00000001", "00000002"]
    mounted.remount()
    documents(mounted, 3, 50_000)
    mounted.gc()
    assert (parity_of(store), protected(store)) == (30, ["00000001", "00000002", "00000003"])
    mounted.remount("--parity=off")
    documents(mounted, 4, 50_000)
    mounted.gc()
    assert (parity_of(store), protected(store)) == (0, ["00000001", "00000002", "00000003"])
    djafs_ok("gc", "--compact", mounted.mountpoint)
    assert (names(store, ".djfm"), protected(store)) == (["00000005"], [])
    mounted.remount("--parity=30")
    documents(mounted, 5, 50_000)
    djafs_ok("gc", "--compact", mounted.mountpoint)
    assert protected(store) == names(store, ".djfm") == names(store, ".tar.zst") == ["00000007"]
    data = store / "archives" / "00000007.tar.zst.par2"
    subprocess.run(["par2", "verify", "-q", "-q", data], check=True)


def test_without_par2_the_option_is_refused_and_the_store_is_not(
    mount_store, store, tmp_path, monkeypatch
):
    mounted = mount_store("--gc-interval=86400", "--settle=0", "--parity=10")
    mounted.unmount()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "fusermount3").symlink_to(str(shutil.which("fusermount3")))
    monkeypatch.setenv("PATH", str(programs))
    line = refused("--parity=20", store, mounted.mountpoint)
    assert line == "recovery data needs the program par2: apt install par2"
    mounted.options = mounted.options[:2]
    mounted.start()
    documents(mounted, 1, 5000)
    assert mounted.gc()["protected"] == 0
    assert "no recovery data is made: recovery data needs the program par2" in mounted.messages()
    monkeypatch.undo()
    mounted.remount()
    mounted.gc()
    assert protected(store) == ["00000001"]
