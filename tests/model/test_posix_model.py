"""Random operations on the mount and on a plain directory side by side, and mishaps in between.

For longer: ``make model``, or DJAFS_MODEL_EXAMPLES=1000 for this one. A failure found is kept as
a test of its own, below or with what it was in.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rig import syscalls
from rig.mount import Mount
from rig.twins import Twins

EXAMPLES = int(os.environ.get("DJAFS_MODEL_EXAMPLES", "8"))
STEPS = int(os.environ.get("DJAFS_MODEL_STEPS", "40"))

PART = 16 << 20
OLD = 1_500_000_000
"""Seconds; times below are compared exactly, for they were set and did not just happen."""

NAMES = ("a", "b", "c", "d", "é\udcff", "n" * 255)

names = st.sampled_from(NAMES)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
sizes = st.one_of(st.integers(0, 20_000), st.sampled_from([0, 4096, PART - 1, PART, PART + 4097]))
offsets = st.one_of(st.integers(0, 20_000), st.integers(PART - 5000, PART + 5000))
contents = st.one_of(
    st.binary(min_size=1, max_size=50),
    st.builds(lambda letter, length: letter * length, st.binary(min_size=1, max_size=1), sizes),
)
modes = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2755, 0o6777, 0o1777, 0o000, 0o2644])
times = st.builds(lambda s, n: s * 10**9 + n, st.integers(-OLD, OLD), st.integers(0, 10**9 - 1))
attributes = st.sampled_from(["user.a", "user.b", "trusted.c"])
mishaps = st.sampled_from(["pack", "pack", "pack", "forget pages", "remount", "kill", "index"])

_numbers = itertools.count()


class Sides(RuleBasedStateMachine):
    """The two directories. ``mount`` and ``plain`` are set by the test."""

    mount: Mount
    plain: Path

    files: Bundle[tuple[int, int]] = Bundle("files")

    @initialize()
    def begin(self) -> None:
        name = f"{next(_numbers)}"
        self.twins = Twins(self.mount.live / name, self.plain / name)
        for root in self.roots:
            root.mkdir()
        self.open: set[tuple[int, int]] = set()

    @property
    def roots(self) -> tuple[Path, Path]:
        return self.twins.plain, self.twins.live

    def both(self, function: Callable[[str], Any]) -> Any:
        """Do the same in both; the outcomes must be the same."""
        outcomes = [_outcome(function, os.fspath(root) + "/") for root in self.roots]
        assert outcomes[0] == outcomes[1], f"{outcomes[0]!r:.200} became {outcomes[1]!r:.200}"
        return outcomes[1]

    def both_open(self, pair: tuple[int, int], function: Callable[[int], Any]) -> None:
        if pair in self.open:
            outcomes = [_outcome(function, descriptor) for descriptor in pair]
            assert outcomes[0] == outcomes[1], f"{outcomes[0]!r:.200} became {outcomes[1]!r:.200}"

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "twins"):
            return
        self.twins.compare()
        old = [_set_times(root) for root in self.roots]
        assert old[0] == old[1]

    def teardown(self) -> None:
        self._close_all()

    def _close_all(self) -> None:
        for pair in getattr(self, "open", ()):
            for descriptor in pair:
                os.close(descriptor)
        self.open = set()

    # Names

    @rule(path=paths, content=contents, mode=modes)
    def make(self, path: str, content: bytes, mode: int) -> None:
        self.both(lambda root: _write(root + path, os.O_CREAT | os.O_EXCL, content, 0, mode))

    @rule(path=paths, mode=modes)
    def mkdir(self, path: str, mode: int) -> None:
        self.both(lambda root: os.mkdir(root + path, mode))

    @rule(path=paths)
    def rmdir(self, path: str) -> None:
        self.both(lambda root: os.rmdir(root + path))

    @rule(path=paths)
    def unlink(self, path: str) -> None:
        self.both(lambda root: os.unlink(root + path))

    @rule(old=paths, new=paths, flags=st.sampled_from([0, 0, 0, 1, 2]))
    def rename(self, old: str, new: str, flags: int) -> None:
        self.both(lambda root: syscalls.renameat2(root + old, root + new, flags))

    @rule(old=paths, new=paths)
    def link(self, old: str, new: str) -> None:
        self.both(lambda root: os.link(root + old, root + new, follow_symlinks=False))

    @rule(to=paths, path=paths)
    def symlink(self, to: str, path: str) -> None:
        self.both(lambda root: os.symlink(to, root + path))

    @rule(path=paths, mode=modes)
    def mkfifo(self, path: str, mode: int) -> None:
        self.both(lambda root: os.mkfifo(root + path, mode))

    # Content

    @rule(path=paths, offset=offsets, content=contents)
    def write(self, path: str, offset: int, content: bytes) -> None:
        self.both(lambda root: _write(root + path, 0, content, offset))

    @rule(path=paths, content=contents)
    def replace(self, path: str, content: bytes) -> None:
        self.both(lambda root: _write(root + path, os.O_CREAT | os.O_TRUNC, content, 0))

    @rule(path=paths, content=contents)
    def append(self, path: str, content: bytes) -> None:
        self.both(lambda root: _write(root + path, os.O_APPEND, content, None))

    @rule(path=paths, size=sizes)
    def truncate(self, path: str, size: int) -> None:
        self.both(lambda root: _regular(root + path) or os.truncate(root + path, size))

    @rule(path=paths, offset=offsets, length=sizes, mode=st.sampled_from([0, 1, 3, 16, 17]))
    def fallocate(self, path: str, offset: int, length: int, mode: int) -> None:
        def act(descriptor: int) -> None:
            syscalls.fallocate(descriptor, mode, offset, length)

        self.both(lambda root: _opened(root + path, act))

    @rule(path=paths, to=paths, length=sizes, start=offsets, at=offsets)
    def copy(self, path: str, to: str, length: int, start: int, at: int) -> None:
        def act(root: str) -> Any:
            def copy_to(source: int) -> Any:
                return _opened(
                    root + to, lambda target: os.copy_file_range(source, target, length, start, at)
                )

            return _opened(root + path, copy_to)

        self.both(act)

    # Attributes

    @rule(path=paths, mode=modes)
    def chmod(self, path: str, mode: int) -> None:
        self.both(lambda root: os.chmod(root + path, mode))

    @rule(path=paths, uid=st.sampled_from([-1, 0, 1000]), gid=st.sampled_from([-1, 0, 65533]))
    def chown(self, path: str, uid: int, gid: int) -> None:
        self.both(lambda root: os.lchown(root + path, uid, gid))

    @rule(path=paths, atime=times, mtime=times)
    def utime(self, path: str, atime: int, mtime: int) -> None:
        self.both(lambda root: os.utime(root + path, ns=(atime, mtime), follow_symlinks=False))

    @rule(path=paths, name=attributes, value=st.binary(max_size=100), flags=st.integers(0, 2))
    def set_xattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        self.both(lambda root: os.setxattr(root + path, name, value, flags, follow_symlinks=False))

    @rule(path=paths, name=attributes)
    def remove_xattr(self, path: str, name: str) -> None:
        self.both(lambda root: os.removexattr(root + path, name, follow_symlinks=False))

    # Open files, which may lose their names

    @rule(target=files, path=paths, create=st.booleans())
    def hold(self, path: str, create: bool) -> tuple[int, int]:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        pair: list[int] = []

        def take(root: str) -> None:
            _regular(root + path)
            pair.append(os.open(root + path, flags, 0o644))

        if self.both(take) is not None:
            return (-1, -1)
        self.open.add((pair[0], pair[1]))
        return pair[0], pair[1]

    @rule(pair=files, offset=offsets, content=contents)
    def write_held(self, pair: tuple[int, int], offset: int, content: bytes) -> None:
        self.both_open(pair, lambda descriptor: os.pwrite(descriptor, content, offset))

    @rule(pair=files, size=sizes)
    def truncate_held(self, pair: tuple[int, int], size: int) -> None:
        self.both_open(pair, lambda descriptor: os.ftruncate(descriptor, size))

    @rule(pair=files, offset=offsets, length=sizes)
    def read_held(self, pair: tuple[int, int], offset: int, length: int) -> None:
        self.both_open(pair, lambda descriptor: os.pread(descriptor, length, offset))
        self.both_open(pair, lambda descriptor: os.fstat(descriptor).st_nlink)
        self.both_open(pair, lambda descriptor: os.fstat(descriptor).st_size)

    @rule(pair=consumes(files))
    def let_go(self, pair: tuple[int, int]) -> None:
        self.both_open(pair, os.close)
        self.open.discard(pair)

    # What happens to a mount

    @rule(
        what=st.sampled_from(["pack", "pack", "pack", "forget pages", "remount", "kill", "index"])
    )
    def mishap(self, what: str) -> None:
        numbers = _inodes(self.twins.live)
        if what == "pack":
            self.mount.gc()
        elif what == "forget pages":
            self._forget_pages()
        else:
            self._close_all()
            if what == "kill":
                self.mount.kill9()
            else:
                self.mount.unmount()
            if what == "index":
                for path in self.mount.storage.glob("index.sqlite*"):
                    path.unlink()
            self.mount.start()
        assert _inodes(self.twins.live) == numbers

    def _forget_pages(self) -> None:
        for pair in self.open:
            os.posix_fadvise(pair[1], 0, 0, os.POSIX_FADV_DONTNEED)


def _outcome(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def _regular(path: str) -> None:
    """Refuse FIFOs: opening them would wait."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise OSError(errno.ENXIO, "not a regular file")


def _opened(path: str, function: Callable[[int], Any]) -> Any:
    _regular(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        return function(descriptor)
    finally:
        os.close(descriptor)


def _write(path: str, flags: int, content: bytes, offset: int | None, mode: int = 0o644) -> int:
    _regular(path)
    descriptor = os.open(path, os.O_WRONLY | flags, mode)
    try:
        if offset is None:
            return os.write(descriptor, content)
        return os.pwrite(descriptor, content, offset)
    finally:
        os.close(descriptor)


def _set_times(root: Path) -> dict[str, int]:
    found = {}
    for path in tree_paths(root):
        mtime = os.lstat(root / path).st_mtime_ns
        if mtime <= (OLD + 1) * 10**9:
            found[path] = mtime
    return found


def _inodes(root: Path) -> dict[str, int]:
    return {path: os.lstat(root / path).st_ino for path in tree_paths(root)}


def tree_paths(root: Path) -> list[str]:
    """Return every path below ``root``."""
    found = []
    for directory, directories, files in os.walk(root):
        found += [os.path.relpath(os.path.join(directory, n), root) for n in directories + files]
    return found


@pytest.fixture
def sides(mounted: Mount, tmp_path: Path) -> type[Sides]:
    """The machine, on a mount and a plain directory of its own."""
    plain = tmp_path / "plain"
    plain.mkdir()
    return type("SidesHere", (Sides,), {"mount": mounted, "plain": plain})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to chown and to set trusted attributes")
@pytest.mark.timeout(max(120, EXAMPLES * 20))
def test_the_mount_does_what_a_plain_directory_does(sides: type[Sides]):
    mask = os.umask(0o022)
    try:
        run_state_machine_as_test(
            sides,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    finally:
        os.umask(mask)
