"""Writers that know what must be in a mount, whenever its daemon was killed."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

State = dict[str, bytes]


class Writer:
    """Changes a directory of its own until the mount is gone.

    After each call that returned, ``state`` is what the directory must hold. A call that was
    under way when the daemon died may have happened or not: it would have led to one of
    ``under_way``. The kernel cuts a write at the end of a page that it does not know: of one that
    failed, or returned early, the first part may have happened.
    """

    def __init__(self, directory: Path, seed: int, acknowledge: Callable[[], None]) -> None:
        self.directory = directory
        self.state: State = {}
        self.under_way: list[State] = []
        self.calls = 0
        self._rng = random.Random(seed)
        self._acknowledge = acknowledge
        self._stopped = threading.Event()

    # Running

    def run(self) -> None:
        """Write until a call fails, as all do once the daemon has been killed."""
        with contextlib.suppress(OSError):
            while not self._stopped.is_set():
                self._change()

    def stop(self) -> None:
        """End after the change that is under way."""
        self._stopped.set()

    @contextlib.contextmanager
    def _call(self, *after: State) -> Iterator[None]:
        """Make a call that leads to the first of ``after``, or to the others if it is cut short."""
        self.under_way = list(after)
        yield
        self.state, self.under_way = after[0], []
        self.calls += 1
        self._acknowledge()

    def _change(self) -> None:
        changes = [self._new, self._replace, self._append, self._overwrite, self._cut, self._delete]
        self._rng.choices(changes, [5, 4, 5, 3, 1, 3])[0]()

    # Changes

    def _content(self) -> bytes:
        return self._rng.randbytes(self._rng.choice((1, 300, 3000, 12_000, 65_536)))

    def _some(self) -> str | None:
        return self._rng.choice(sorted(self.state)) if self.state else None

    def _make(self, name: str, content: bytes) -> None:
        path = os.fspath(self.directory / name)
        with self._call({**self.state, name: b""}):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            with self._call({**self.state, name: content}):
                assert os.write(descriptor, content) == len(content)
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _new(self) -> None:
        name = f"{self._rng.randrange(12)}.json"
        if name not in self.state:
            self._make(name, self._content())

    def _replace(self) -> None:
        """Write beside, then rename over."""
        name = f"{self._rng.randrange(12)}.json"
        self._make("new.tmp", self._content())
        after = dict(self.state)
        after[name] = after.pop("new.tmp")
        with self._call(after):
            os.rename(self.directory / "new.tmp", self.directory / name)

    def _write(self, name: str, offset: int, flags: int) -> None:
        content, old = self._content(), self.state[name]
        descriptor = os.open(self.directory / name, os.O_WRONLY | flags)

        def after(size: int) -> State:
            begin = old[:offset].ljust(offset, b"\0") + content[:size]
            return {**self.state, name: begin + old[len(begin) :]}

        page = mmap.PAGESIZE - offset % mmap.PAGESIZE
        try:
            with self._call(after(len(content)), after(page)):
                if flags:
                    written = os.write(descriptor, content)
                else:
                    written = os.pwrite(descriptor, content, offset)
                if written != len(content):
                    self.state = after(written)
                    raise OSError(errno.EIO, "cut short")
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _append(self) -> None:
        name = self._some()
        if name is not None and len(self.state[name]) < 500_000:
            self._write(name, len(self.state[name]), os.O_APPEND)

    def _overwrite(self) -> None:
        name = self._some()
        if name is not None:
            self._write(name, self._rng.randint(0, len(self.state[name]) + 10), 0)

    def _cut(self) -> None:
        name = self._some()
        if name is not None:
            size = self._rng.randint(0, len(self.state[name]))
            with self._call({**self.state, name: self.state[name][:size]}):
                os.truncate(self.directory / name, size)

    def _delete(self) -> None:
        name = self._some()
        if name is not None:
            after = dict(self.state)
            del after[name]
            with self._call(after):
                os.unlink(self.directory / name)

    # Checking

    def check(self) -> int:
        """Assert that the directory holds what it must, byte for byte; return the files read."""
        found = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        if found not in [self.state, *self.under_way]:
            raise AssertionError("; ".join(self._differences(found)))
        self.state, self.under_way = found, []
        if "new.tmp" in found:
            after = dict(found)
            del after["new.tmp"]
            with self._call(after):
                os.unlink(self.directory / "new.tmp")
        return len(found)

    def _differences(self, found: State) -> Iterator[str]:
        yield f"{self.directory.name}: a file is not what was acknowledged"
        for name in sorted({*found, *self.state}):
            has, had = found.get(name), self.state.get(name)
            if has != had:
                would = [state.get(name) for state in self.under_way]
                sizes = [None if c is None else len(c) for c in (had, has, *would)]
                yield f"{name}: {sizes[0]} bytes were acknowledged, {sizes[1]} are there"
                yield f"{sizes[2:]} would have been next"


class Writers:
    """Several writers, each in a thread."""

    def __init__(self, live: Path, number: int, seed: int) -> None:
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._left = 0
        self.writers = [Writer(live / f"w{n}", seed + n, self._count) for n in range(number)]

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._enough.set()

    def run(self, calls: int, then: Callable[[], None]) -> None:
        """Let all write; call ``then`` after ``calls`` calls, or when all have failed."""
        self._left = calls
        self._enough.clear()
        threads = [threading.Thread(target=self._run, args=[writer]) for writer in self.writers]
        for thread in threads:
            thread.start()
        self._enough.wait(60)
        then()
        for writer in self.writers:
            writer.stop()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a writer hangs"
        for writer in self.writers:
            writer._stopped.clear()

    def _run(self, writer: Writer) -> None:
        writer.run()
        if not writer._stopped.is_set():  # its mount is gone
            self._enough.set()

    def check(self) -> int:
        """Check every directory; return the files read."""
        for writer in self.writers:
            writer.directory.mkdir(exist_ok=True)
        return sum(writer.check() for writer in self.writers)

    @property
    def calls(self) -> int:
        """Calls that were acknowledged."""
        return sum(writer.calls for writer in self.writers)
