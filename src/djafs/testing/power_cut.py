"""A host that loses power: after the cut the disk has what was synced, and of the rest anything.

What the process sees are plain files, as if they were the page cache. Beside them the host keeps a
model of the disk: for each file the content that was synced and the writes since, for each
directory the names that were synced and the changes since. :meth:`PowerCutHost.materialise`
makes a store of what a disk might hold: of every write, any of its 512-byte sectors may have
arrived, in any order, and of the changes to names, any.

SQLite writes past the host. Its files are copied as they are, or left out: the index may be ahead
of all that the disk has, or be gone.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

from djafs.disk.host import Host

SECTOR = 512


class PowerCut(BaseException):
    """The power has gone: no call of the host returns any more."""


class Killed(BaseException):
    """The process has ended; the page cache has all that it wrote."""


@dataclass
class _File:
    """A file on the model's disk."""

    synced: bytes
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes since: (offset, data), or (size, None) for a truncation."""


@dataclass
class _Directory:
    """The names of a directory on the model's disk."""

    synced: dict[str, _File | None]  # None: a directory
    pending: list[dict[str, _File | str | None]] = field(default_factory=list)
    """Changes since; each gives names what they are afterwards, "" for nothing."""


class PowerCutHost(Host):
    """A host whose power goes before step number ``at`` (from 1), if that is ever reached."""

    def __init__(self, root: str, at: int | None = None) -> None:
        """Model the disk under directory ``root``; all that it holds now is durable."""
        self._root = root
        self._at = at
        self.steps = 0
        self.kill_at: int | None = None
        """The step before which the process is killed, once."""
        self.labels: list[str] = []
        self._directories: dict[str, _Directory] = {}
        self._files: dict[str, _File] = {}  # by their present path
        self._open: dict[int, _File] = {}

    @property
    def is_off(self) -> bool:
        """Whether the power has gone."""
        return self._at is not None and self.steps >= self._at

    def _step(self, label: str) -> None:
        self.steps += 1
        self.labels.append(label)
        if self.steps == self.kill_at and not self.is_off:
            raise Killed(label)

    def _cut(self) -> None:
        if self.is_off:
            raise PowerCut(self.labels[-1])

    # The model

    def _file(self, path: str) -> _File:
        file = self._files.get(path)
        if file is None:
            with open(path, "rb") as present:
                file = self._files[path] = _File(present.read())
        return file

    def _directory(self, path: str) -> _Directory:
        found = self._directories.get(path)
        if found is None:
            names: dict[str, _File | None] = {}
            for name in os.listdir(path) if os.path.isdir(path) else ():
                below = os.path.join(path, name)
                if os.path.isdir(below):
                    names[name] = None
                elif not name.startswith(("index", "lock")):
                    names[name] = self._file(below)
            found = self._directories[path] = _Directory(names)
        return found

    def _change(self, path: str, what: _File | str | None) -> dict[str, _File | str | None]:
        directory, name = os.path.split(path)
        change: dict[str, _File | str | None] = {name: what}
        self._directory(directory).pending.append(change)
        return change

    # The calls

    def open(self, path: str, flags: int, label: str, mode: int = 0o600) -> int:
        """See :meth:`Host.open`."""
        self._step(label)
        self._cut()
        directory = self._directory(os.path.dirname(path))
        is_new = not os.path.exists(path)
        file = _File(b"") if is_new else self._file(path)
        descriptor = super().open(path, flags, label, mode)
        self._open[descriptor] = file
        if is_new:
            self._files[path] = file
            directory.pending.append({os.path.basename(path): file})
        elif flags & os.O_TRUNC:
            file.pending.append((0, None))
        return descriptor

    def close(self, descriptor: int) -> None:
        """See :meth:`Host.close`."""
        self._open.pop(descriptor, None)
        super().close(descriptor)

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        """See :meth:`Host.pwrite`."""
        self._step(label)
        # The write under which the power goes may have arrived in part.
        self._open[descriptor].pending.append((offset, bytes(data)))
        self._cut()
        super().pwrite(descriptor, data, offset, label)

    def truncate(self, descriptor: int, size: int, label: str) -> None:
        """See :meth:`Host.truncate`."""
        self._step(label)
        self._open[descriptor].pending.append((size, None))
        self._cut()
        super().truncate(descriptor, size, label)

    def sync(self, descriptor: int, label: str) -> None:
        """See :meth:`Host.sync`."""
        self._step(label)
        self._cut()
        file = self._open[descriptor]
        file.synced = _apply(file.synced, file.pending)
        file.pending = []

    def write_out(self, descriptor: int, label: str) -> None:
        """See :meth:`Host.write_out`. What was not synced may have arrived in any case."""
        self._step(label)
        self._cut()

    def both(self, one: Callable[[], None], other: Callable[[], None]) -> None:
        """See :meth:`Host.both`: one after the other, now the one first and now the other."""
        if self.steps % 2:
            one, other = other, one
        one()
        other()

    def sync_directory(self, path: str, label: str) -> None:
        """See :meth:`Host.sync_directory`."""
        self._step(label)
        self._cut()
        if not path.startswith(self._root):
            return
        directory = self._directory(path)
        for change in directory.pending:
            _rename(directory.synced, change)
        directory.pending = []

    def rename(self, source: str, target: str, label: str) -> None:
        """See :meth:`Host.rename`."""
        self._step(label)
        if not os.path.basename(source).startswith("index"):
            file = self._file(source)
            if os.path.dirname(source) == os.path.dirname(target):
                self._change(source, "")[os.path.basename(target)] = file
            else:  # either directory may have been written, or both
                self._change(target, file)
                self._change(source, "")
            self._cut()
            self._files[target] = self._files.pop(source)
        self._cut()
        super().rename(source, target, label)

    def link(self, source: str, target: str, label: str) -> None:
        """See :meth:`Host.link`."""
        self._step(label)
        if not os.path.basename(source).startswith("index"):
            file = self._file(source)
            self._change(target, file)
            self._cut()
            self._files[target] = file
        self._cut()
        super().link(source, target, label)

    def unlink(self, path: str, label: str) -> None:
        """See :meth:`Host.unlink`."""
        self._step(label)
        if os.path.exists(path) and not os.path.basename(path).startswith("index"):
            self._file(path)
            self._change(path, "")
        self._cut()
        super().unlink(path, label)
        self._files.pop(path, None)

    def mkdir(self, path: str, label: str) -> None:
        """See :meth:`Host.mkdir`."""
        self._step(label)
        self._change(path, None)
        self._cut()
        super().mkdir(path, label)

    # The cut

    def is_synced(self, path: str) -> bool:
        """Return whether the disk has all of a file."""
        return not self._file(path).pending

    def let_go(self) -> None:
        """Close what the process that lost its power had open."""
        for descriptor in list(self._open):
            self.close(descriptor)

    def materialise(self, target: str, rng: random.Random, *, index: bool) -> None:
        """Make in ``target`` what the disk may hold after the cut.

        ``index`` says whether SQLite's files are there, as they are now.
        """
        directory = self._directory(self._root)
        os.makedirs(target)
        self._materialise(self._root, directory, target, _Luck(rng))
        if index:
            for name in os.listdir(self._root):
                if name.startswith("index"):
                    shutil.copy(os.path.join(self._root, name), os.path.join(target, name))

    def _materialise(self, path: str, directory: _Directory, target: str, luck: _Luck) -> None:
        names = dict(directory.synced)
        for change in directory.pending:
            if luck.arrived():
                _rename(names, change)
        for name, file in sorted(names.items(), key=lambda item: item[0]):
            below = os.path.join(target, name)
            if file is None:
                os.mkdir(below)
                inner = os.path.join(path, name)
                self._materialise(inner, self._directory(inner), below, luck)
            else:
                with open(below, "wb") as out:
                    out.write(luck.content(file))


class _Luck:
    """How much of what was not synced has arrived: all, nothing, the first part, or any part."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))

    def arrived(self) -> bool:
        return self._rng.random() < self._share

    def content(self, file: _File) -> bytes:
        kind = self._rng.choice(("any", "any", "first", "nothing", "all", "zeros"))
        content = file.synced
        if kind == "all":
            return _apply(content, file.pending)
        if kind == "nothing":
            return content
        if kind == "first":
            return _apply(content, file.pending[: self._rng.randint(0, len(file.pending))])
        pieces: list[tuple[int, bytes | None]] = []
        for offset, data in file.pending:
            if data is None:
                if self.arrived():
                    pieces.append((offset, None))
            elif kind == "zeros" and self.arrived():  # the size did, and the bytes did not
                pieces.append((offset, bytes(len(data))))
            else:
                pieces += [piece for piece in _sectors(offset, data) if self.arrived()]
        return _apply(content, pieces)


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """Cut a write where sectors of the disk end."""
    first = SECTOR - offset % SECTOR
    cuts = [0, *range(first, len(data), SECTOR), len(data)]
    return [(offset + a, data[a:b]) for a, b in itertools.pairwise(cuts)]


def _apply(content: bytes, writes: list[tuple[int, bytes | None]]) -> bytes:
    if not writes:
        return content
    result = bytearray(content)
    for offset, data in writes:
        if data is None:
            del result[offset:]
        else:
            if len(result) < offset:
                result.extend(bytes(offset - len(result)))
            result[offset : offset + len(data)] = data
    return bytes(result)


def _rename(names: dict[str, _File | None], change: dict[str, _File | str | None]) -> None:
    for name, what in change.items():
        if isinstance(what, str):
            names.pop(name, None)
        else:
            names[name] = what
