"""Recovery data: made by the mount, used by whoever has par2."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from rig.command import djafs, djafs_ok, refused
from rig.daemons import alive
from rig.waiting import wait_until


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


def test_a_mounted_store_repairs_archives_and_recovery_data(mount_store, store):
    mounted = mount_store("--gc-interval=86400", "--settle=0", "--parity=10")
    for seed in (1, 2):
        documents(mounted, seed)
        mounted.gc()
    archive, data = store / "archives/00000001.tar.zst", store / "archives/00000002.tar.zst.par2"
    contents = archive.read_bytes(), data.read_bytes()
    for path in (archive, data):
        with open(path, "r+b") as file:
            file.seek(8000)
            file.write(bytes(5000))
    done = djafs("validate", "-p", store, "-r")
    assert done.returncode == 1, done.stdout
    assert (archive.read_bytes(), data.read_bytes()) == contents
    assert (mounted.live / "1.bin").read_bytes() == random.Random(1).randbytes(200_000)


def test_parity_comes_to_what_lacks_it_and_stays_with_the_store(mount_store, store):
    mounted = mount_store("--gc-interval=86400", "--settle=0")
    documents(mounted, 1, 50_000)
    assert mounted.gc()["protected"] == 0
    assert (parity_of(store), protected(store)) == (0, [])
    mounted.remount("--parity=30")
    assert mounted.gc()["unprotected"] == 0  # it may have been made in the background
    assert protected(store) == ["00000001"]
    documents(mounted, 2, 50_000)
    djafs_ok("gc", "--compact", mounted.mountpoint)
    assert protected(store) == names(store, ".djfm") == names(store, ".tar.zst") == ["00000003"]
    mounted.remount()
    documents(mounted, 3, 50_000)
    mounted.gc()
    assert (parity_of(store), protected(store)) == (30, ["00000003", "00000004"])


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


def test_par2_ends_with_the_daemon_and_nothing_of_it_is_left(mount_store, store, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    par2, pid = programs / "par2", programs / "pid"
    par2.write_text(f"#!/bin/sh\necho $$ >{pid}.new\nmv {pid}.new {pid}\nexec sleep 600\n")
    par2.chmod(0o755)
    mounted = mount_store("--gc-interval=86400", "--settle=0")
    documents(mounted, 1, 5000)
    mounted.gc()
    mounted.environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
    for end in (mounted.unmount, mounted.kill9):
        mounted.options = (*mounted.options[:2], "--parity=10")
        if end == mounted.unmount:
            mounted.remount()
        else:
            mounted.start()
        wait_until(pid.exists, "par2 to run")
        running = int(pid.read_text())
        pid.unlink()
        documents(mounted, 2, 5000)  # nobody waits for it
        end()
        wait_until(lambda process=running: not alive(process), "par2 to end")
    mounted.environment = {}
    mounted.start()
    mounted.gc()
    assert protected(store) == names(store, ".djfm")
    assert not list(store.glob("parity-*"))
