"""A file exerciser in the manner of fsx: random operations on one file, checked in memory.

By hand, for as long as you like, while packing runs all the time:

    .venv/bin/python tests/model/file_exerciser.py --operations 100000 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import mmap
import os
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).parents[1]))

from rig.mount import Mount
from rig.syscalls import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate

PART = 16 << 20
"""Large files are stored in parts of so many bytes; windows are laid across their edges."""

KEPT = 40
"""Operations that a failure tells."""


class DifferenceError(AssertionError):
    """The file does not hold what was written to it."""


class Exerciser:
    """One file and, in memory, what it must hold from offset ``base`` on (before it is a hole)."""

    def __init__(self, path: Path, seed: int, *, window: int = 200_000, base: int = 0) -> None:
        self._path = path
        self._dice = random.Random(seed)
        self._window = window
        self._base = base
        self._model = bytearray()
        self._told: list[str] = []
        self._descriptor = -1
        self._seed = seed
        self._count = 0
        self._begin_anew()
        self._actions: list[tuple[int, Callable[[], None]]] = [
            (20, self._read),
            (20, self._write),
            (4, self._append),
            (6, self._truncate),
            (10, self._map_read),
            (10, self._map_write),
            (6, self._punch),
            (3, self._zero),
            (3, self._reserve),
            (6, self._copy),
            (4, self._seek),
            (4, self._drop_cache),
            (3, self._reopen),
            (1, self._sync),
            (1, self._begin_anew),
        ]

    def run(self, operations: int) -> None:
        """Do so many operations (raises DifferenceError, OSError)."""
        weights = [weight for weight, _ in self._actions]
        actions = [action for _, action in self._actions]
        for action in self._dice.choices(actions, weights, k=operations):
            self._count += 1
            try:
                action()
                if os.fstat(self._descriptor).st_size != self._size:
                    self._fail(f"its size is {os.fstat(self._descriptor).st_size - self._base}")
            except OSError as error:
                raise DifferenceError(self._history(f"failed: {error}")) from error
        self._check(0, len(self._model), "at the end")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @property
    def _size(self) -> int:
        return self._base + len(self._model) if self._model else self._least

    # What goes wrong

    def _tell(self, text: str) -> None:
        self._told.append(f"{self._count}: {text}")
        del self._told[:-KEPT]

    def _history(self, what: str) -> str:
        return "\n".join([f"seed {self._seed}, operation {self._count}: {what}", *self._told])

    def _fail(self, what: str) -> None:
        raise DifferenceError(
            self._history(what + f"; {len(self._model)} expected, from {self._base} on")
        )

    def _compare(self, got: bytes, start: int, end: int, how: str) -> None:
        wanted = bytes(self._model[start:end])
        if got == wanted:
            return
        first = next((n for n, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), -1)
        at = start + first if first >= 0 else start + min(len(got), len(wanted))
        self._fail(
            f"{how} of {start}..{end} gave {len(got)} bytes, wrong from {at} on:"
            f" {got[at - start : at - start + 8]!r} for {wanted[at - start : at - start + 8]!r}"
        )

    def _check(self, start: int, end: int, how: str) -> None:
        self._compare(os.pread(self._descriptor, end - start, self._base + start), start, end, how)

    # Dice

    def _range(self, limit: int) -> tuple[int, int]:
        start = self._dice.randrange(limit)
        if self._dice.random() < 0.2:
            start -= start % 4096
        longest = self._dice.choice((10, 500, 5000, 70_000))
        return start, min(limit, start + self._dice.randint(1, longest))

    def _grow(self, size: int) -> None:
        self._model.extend(bytes(max(0, size - len(self._model))))

    # Operations

    def _begin_anew(self) -> None:
        """Make another file of the name; as often as not the first goes while it is open."""
        if self._descriptor >= 0:
            self._path.unlink()
            self._check(0, len(self._model), "reading the unlinked file")
            os.close(self._descriptor)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        self._descriptor = os.open(self._path, flags, 0o644)
        self._model = bytearray()
        os.ftruncate(self._descriptor, self._base)
        self._least = self._base
        self._tell("a new file")

    def _read(self) -> None:
        if self._model:
            start, end = self._range(len(self._model))
            self._check(start, end, "a read")

    def _write(self) -> None:
        start, end = self._range(self._window)
        content = self._dice.randbytes(end - start)
        self._tell(f"write {start}..{end}")
        self._grow(end)
        self._model[start:end] = content
        os.pwrite(self._descriptor, content, self._base + start)

    def _append(self) -> None:
        content = self._dice.randbytes(self._dice.randint(1, 3000))
        if len(self._model) + len(content) > self._window:
            return
        self._tell(f"append {len(content)} at {len(self._model)}")
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, content)
        os.close(descriptor)
        self._model += content

    def _truncate(self) -> None:
        size = self._dice.randrange(self._window)
        self._tell(f"truncate from {len(self._model)} to {size}")
        if self._dice.random() < 0.5:
            os.ftruncate(self._descriptor, self._base + size)
        else:
            os.truncate(self._path, self._base + size)
        del self._model[size:]
        self._grow(size)

    def _map(self, start: int, end: int) -> tuple[mmap.mmap, int]:
        first = (self._base + start) // mmap.PAGESIZE * mmap.PAGESIZE
        within = self._base + start - first
        return mmap.mmap(self._descriptor, within + end - start, offset=first), within

    def _map_read(self) -> None:
        if self._model:
            start, end = self._range(len(self._model))
            mapping, within = self._map(start, end)
            got = mapping[within:]
            mapping.close()
            self._compare(got, start, end, "a mapped read")

    def _map_write(self) -> None:
        if self._model:
            start, end = self._range(len(self._model))
            content = self._dice.randbytes(end - start)
            self._tell(f"mapped write {start}..{end}")
            mapping, within = self._map(start, end)
            mapping[within:] = content
            self._model[start:end] = content
            if self._dice.random() < 0.5:
                mapping.flush()
            mapping.close()

    def _punch(self) -> None:
        start, end = self._range(self._window)
        self._tell(f"punch {start}..{end}")
        fallocate(self._descriptor, KEEP_SIZE | PUNCH_HOLE, self._base + start, end - start)
        end = min(end, len(self._model))
        if start < end:
            self._model[start:end] = bytes(end - start)

    def _zero(self) -> None:
        start, end = self._range(self._window)
        self._tell(f"zero {start}..{end}")
        fallocate(self._descriptor, ZERO_RANGE, self._base + start, end - start)
        self._grow(end)
        self._model[start:end] = bytes(end - start)

    def _reserve(self) -> None:
        start, end = self._range(self._window)
        keep = self._dice.choice((0, KEEP_SIZE))
        self._tell(f"reserve {start}..{end} {keep}")
        fallocate(self._descriptor, keep, self._base + start, end - start)
        if not keep:
            self._grow(end)

    def _copy(self) -> None:
        if not self._model:
            return
        start, end = self._range(len(self._model))
        to = self._dice.randrange(self._window)
        length = min(end - start, self._window - to)
        if start < to + length and to < start + length:
            return  # overlapping: refused by the kernel
        self._tell(f"copy {start}..{start + length} to {to}")
        done = 0
        while done < length:
            done += os.copy_file_range(
                self._descriptor,
                self._descriptor,
                length - done,
                self._base + start + done,
                self._base + to + done,
            )
        self._grow(to + length)
        self._model[to : to + length] = self._model[start : start + length]

    def _seek(self) -> None:
        """What lies between data is zeros."""
        if not self._model:
            return
        start = self._dice.randrange(len(self._model))
        try:
            found = os.lseek(self._descriptor, self._base + start, os.SEEK_DATA) - self._base
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            found = len(self._model)
        if any(self._model[start:found]):
            self._fail(f"no data is said to be in {start}..{found}")

    def _drop_cache(self) -> None:
        os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def _reopen(self) -> None:
        os.close(self._descriptor)
        self._descriptor = os.open(self._path, os.O_RDWR)

    def _sync(self) -> None:
        os.fsync(self._descriptor)


def exercise(
    live: Path, operations: int, seed: int, between: Callable[[], object] = lambda: None
) -> None:
    """Exercise three files in turn: a small one, and two across edges of parts.

    ``between`` is called while all three are open, after each 300 operations.
    """
    files = [
        Exerciser(live / f"exercised{number}", seed * 10 + number, base=base)
        for number, base in enumerate((0, PART - 90_000, 5 * PART - 100_000))
    ]
    try:
        for _ in range(operations // 300):
            for file in files:
                file.run(100)
            between()
    finally:
        for file in files:
            with contextlib.suppress(OSError):
                file.close()


def main() -> None:
    """Exercise files on a mount of our own, or below a directory that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--directory", type=Path, help="in which to do it (default: a new mount)")
    given = parser.parse_args()
    print(f"{given.operations} operations with seed {given.seed}", flush=True)
    if given.directory:
        exercise(given.directory, given.operations, given.seed)
    else:
        with tempfile.TemporaryDirectory() as directory:
            base = Path(directory)
            options = ("--gc-interval=0.5", "--settle=0")
            with Mount(base / "store", base / "mnt", options, seconds=86_400) as mount:
                exercise(mount.live, given.operations, given.seed)
    print("no difference")


if __name__ == "__main__":
    main()
