"""Programs that people use, on the mount: git, SQLite, Python's venv, tar, rsync."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.mount import Mount

ENVIRONMENT = {
    **os.environ,
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


def run(*command: str | os.PathLike[str], cwd: Path | None = None) -> str:
    """Run a program, which must succeed, and return what it said."""
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture
def packing(mount_store: Callable[..., Mount]) -> Mount:
    """A mount that packs all the time."""
    return mount_store("--gc-interval=0.3", "--settle=0")


@needs("git")
def test_git(packing: Mount, tmp_path: Path):
    """A repository is made, cloned, repacked and checked; packing goes on below it."""
    origin = tmp_path / "origin"
    run("git", "init", "-q", "-b", "main", origin)
    for version in range(5):
        for number in range(40):
            (origin / f"{number}.json").write_text(
                f'{{"n": {number}, "version": {version}}}\n' * 50
            )
        (origin / "run.sh").write_text("#!/bin/sh\n")
        (origin / "run.sh").chmod(0o755)
        run("git", "add", ".", cwd=origin)
        run("git", "commit", "-q", "-m", f"version {version}", cwd=origin)
    clone = packing.live / "clone"
    run("git", "clone", "-q", origin, clone)
    run("git", "checkout", "-q", "-b", "side", "HEAD~3", cwd=clone)
    (clone / "side.json").write_text("{}\n")
    run("git", "add", ".", cwd=clone)
    run("git", "commit", "-q", "-m", "side", cwd=clone)
    run("git", "merge", "-q", "-m", "joined", "main", cwd=clone)
    packing.gc()
    run("git", "gc", "-q", "--aggressive", "--prune=now", cwd=clone)
    run("git", "fsck", "--full", "--strict", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""
    again = packing.live / "again"
    run("git", "clone", "-q", "--no-hardlinks", clone, again)
    run("git", "clone", "-q", clone, packing.live / "linked")
    packing.remount()
    run("git", "fsck", "--full", "--strict", cwd=again)
    assert run("git", "rev-parse", "HEAD", cwd=again) == run("git", "rev-parse", "HEAD", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone) == ""


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite(packing: Mount, journal: str):
    path = packing.live / "data.sqlite"
    writers = []
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    assert database.execute(f"PRAGMA journal_mode={journal}").fetchone() == (journal,)
    database.execute("CREATE TABLE t (writer INTEGER, turn INTEGER, text TEXT)")
    database.close()
    for writer in range(3):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _write_rows(path, writer)
                status = 0
            finally:
                os._exit(status)
        writers.append(child)
    assert [os.waitpid(child, 0)[1] for child in writers] == [0, 0, 0]
    packing.gc()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = database.execute("SELECT writer, count(*), sum(turn) FROM t GROUP BY writer").fetchall()
    assert rows == [(writer, 20, 190) for writer in range(3)]
    database.execute("DELETE FROM t WHERE turn % 2")
    database.commit()
    database.execute("VACUUM")
    database.close()
    packing.remount()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT count(*) FROM t").fetchone() == (30,)
    database.close()


def _write_rows(path: Path, writer: int) -> None:
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    for turn in range(20):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO t VALUES (?, ?, ?)", (writer, turn, "x" * 500))
        database.execute("COMMIT")
    database.close()


def test_a_virtual_environment(packing: Mount, tmp_path: Path):
    """Made, given a package from a wheel, run from archives after a remount."""
    place = packing.live / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", place)
    wheel = _wheel(tmp_path)
    if importlib.util.find_spec("pip"):
        install = ["install", "-q", "--no-index", "--disable-pip-version-check", wheel]
        run(sys.executable, "-m", "pip", "--python", place / "bin" / "python", *install)
    else:
        target = next(place.glob("lib/python*/site-packages"))
        run(sys.executable, "-m", "zipfile", "-e", wheel, target)
    packing.gc()
    packing.remount()
    said = run(place / "bin" / "python", "-c", "import spoken, sys; print(spoken.WORD, sys.prefix)")
    assert said.split() == ["word", os.fspath(place)]


def _wheel(directory: Path) -> Path:
    import zipfile

    path = directory / "spoken-1.0-py3-none-any.whl"
    information = "spoken-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spoken/__init__.py", "WORD = 'word'\n")
        metadata = "Metadata-Version: 2.1\nName: spoken\nVersion: 1.0\n"
        archive.writestr(f"{information}/METADATA", metadata)
        tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{information}/WHEEL", tag)
        archive.writestr(f"{information}/RECORD", "")
    return path


def make_tree(root: Path) -> None:
    """Make a tree with one of everything that tar and rsync keep."""
    root.mkdir()
    for number in range(60):
        directory = root / f"d{number % 7}" / f"e{number % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"{number}.json"
        file.write_text(f'{{"n": {number}}}\n' * (number * 20))
        os.utime(file, ns=(10**18 + number, 10**18 + number * 1_000_003))
        file.chmod((0o644, 0o600, 0o755, 0o4755)[number % 4])
    (root / "empty").mkdir()
    (root / "large").write_bytes(os.urandom(18 << 20))
    with open(root / "sparse", "wb") as file:
        file.truncate(40 << 20)
        file.seek(20 << 20)
        file.write(b"data")
    os.link(root / "large", root / "d0" / "another name")
    os.link(root / "d1" / "e1" / "1.json", root / "linked")
    os.symlink("d1/e1/1.json", root / "symlink")
    os.symlink("nowhere", root / "dangling")
    os.mkfifo(root / "fifo", 0o640)
    os.setxattr(root / "linked", "user.note", b"\0\x01\xff")
    os.setxattr(root / "d0", "user.dir", b"1")
    (root / os.fsdecode(b"not utf-8 \xff\n")).write_text("x")
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o020666, os.makedev(1, 3))
        os.lchown(root / "symlink", 65534, 65533)
        os.chown(root / "d1" / "e1" / "1.json", 65534, 65533)
        os.setxattr(root / "symlink", "trusted.x", b"y", follow_symlinks=False)
    for directory, names, _ in os.walk(root, topdown=False):
        for name in names:
            os.utime(os.path.join(directory, name), ns=(10**18, 10**18 + 7))


@needs("tar")
def test_tar_in_and_out(packing: Mount, tmp_path: Path):
    source, archive = tmp_path / "source", tmp_path / "archive.tar"
    make_tree(source)
    keep = ["--xattrs", "--xattrs-include=*", "--format=pax", "--sparse", "--numeric-owner"]
    run("tar", *keep, "-cf", archive, "-C", source, ".")
    target = packing.live / "target"
    target.mkdir()
    run("tar", *keep, "-xpf", archive, "-C", target)
    assert run("tar", "--compare", *keep, "-f", archive, "-C", target) == ""
    packing.gc()
    packing.remount()
    assert run("tar", "--compare", *keep, "-f", archive, "-C", target) == ""
    assert os.stat(target / "sparse").st_blocks < 1000
    back = packing.live / "back.tar"
    run("tar", *keep, "-cf", back, "-C", target, ".")
    assert run("tar", "--compare", *keep, "-f", back, "-C", source) == ""


@needs("rsync")
def test_rsync_there_and_back(packing: Mount, tmp_path: Path):
    source, back, target = tmp_path / "source", tmp_path / "back", packing.live / "target"
    make_tree(source)
    every = ["rsync", "-aHAXS", "--numeric-ids", "--delete"]
    differences = [*every, "-ni", "--checksum"]
    run(*every, f"{source}/", target)
    assert run(*differences, f"{source}/", target) == ""
    packing.gc()
    packing.remount()
    assert run(*differences, f"{source}/", target) == ""
    run(*every, f"{target}/", back)
    assert run(*differences, f"{source}/", back) == ""
    (source / "d1" / "e1" / "1.json").write_text("changed\n")
    (source / "d2").rename(source / "d2 renamed")
    run(*every, "--inplace", "--no-S", f"{source}/", target)
    assert run(*differences, f"{source}/", target) == ""


@needs("cp")
def test_cp_and_diff(packing: Mount, tmp_path: Path):
    source = tmp_path / "source"
    make_tree(source)
    run("cp", "-a", source, packing.live / "copy")
    run("diff", "-r", "--no-dereference", "-x", "fifo", "-x", "null", source, packing.live / "copy")
    run("cp", "-a", "--sparse=always", packing.live / "copy", packing.live / "second")
    run("mv", packing.live / "second", tmp_path / "moved")
    run("diff", "-r", "--no-dereference", "-x", "fifo", "-x", "null", source, tmp_path / "moved")
    assert not (packing.live / "second").exists()
    sparse = os.stat(packing.live / "copy" / "sparse")
    assert (sparse.st_size, sparse.st_blocks < 1000) == (40 << 20, True)
