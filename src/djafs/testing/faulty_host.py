"""A host that fails, or ends the process, at an exact step (docs/ordering.md lists the labels)."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from djafs.disk.host import Host


@dataclass(frozen=True)
class Fault:
    """What happens at a label: from its ``nth`` occurrence on (from 1), for ``times`` of them.

    ``action`` is ``"kill"`` (SIGKILL before the step), ``"kill-after"``, ``"kill-half"`` (a write
    does half of its work), or an errno as a number; a write that fails with one does ``done``
    bytes of its work before.
    """

    label: str
    action: str | int
    nth: int = 1
    times: int = 1
    done: int = 0

    def strikes(self, label: str, count: int) -> bool:
        """Return whether this happens at occurrence ``count`` of ``label``."""
        matches = self.label in (label, "*")
        return matches and self.nth <= count < self.nth + self.times


def parse_faults(text: str) -> list[Fault]:
    """Read faults written as ``LABEL:ACTION[:NTH[:TIMES]]``, several separated by commas."""
    faults = []
    for part in filter(None, text.split(",")):
        label, action, *numbers = part.split(":")
        chosen = int(action) if action.isdigit() else action
        faults.append(Fault(label, chosen, *map(int, numbers)))
    return faults


class FaultyHost(Host):
    """Does what :class:`Host` does, except where a fault strikes. Counts every label."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = list(faults)
        self.counts: Counter[str] = Counter()

    def clear(self) -> None:
        """Let everything succeed from now on."""
        self.faults = []

    def _fault(self, label: str) -> Fault | None:
        self.counts[label] += 1
        self.counts["*"] += 1
        for fault in self.faults:
            count = self.counts["*" if fault.label == "*" else label]
            if fault.strikes(label, count):
                return fault
        return None

    def step(self, label: str) -> None:
        """Let faults strike at a step that is no call of a host."""
        if self._before(label):
            die()

    def _before(self, label: str) -> bool:
        """Fail or die if a fault says so; return whether to die after the step."""
        fault = self._fault(label)
        if fault is None:
            return False
        if isinstance(fault.action, int):
            raise OSError(fault.action, os.strerror(fault.action))
        if fault.action == "kill-after":
            return True
        die()
        return False

    def open(self, path: str, flags: int, label: str, mode: int = 0o600) -> int:
        """See :meth:`Host.open`."""
        last = self._before(label)
        descriptor = super().open(path, flags, label, mode)
        if last:
            die()
        return descriptor

    def pwrite(self, descriptor: int, data: bytes | memoryview, offset: int, label: str) -> None:
        """See :meth:`Host.pwrite`."""
        fault = self._fault(label)
        if fault is not None and fault.action != "kill-after":
            half = fault.action == "kill-half"
            done = len(data) // 2 if half else fault.done
            if done:
                os.pwrite(descriptor, data[:done], offset)
            if isinstance(fault.action, int):
                raise OSError(fault.action, os.strerror(fault.action))
            die()
        super().pwrite(descriptor, data, offset, label)
        if fault is not None:
            die()

    def truncate(self, descriptor: int, size: int, label: str) -> None:
        """See :meth:`Host.truncate`."""
        last = self._before(label)
        super().truncate(descriptor, size, label)
        if last:
            die()

    def allocate(self, descriptor: int, size: int, label: str) -> None:
        """See :meth:`Host.allocate`."""
        last = self._before(label)
        super().allocate(descriptor, size, label)
        if last:
            die()

    def sync(self, descriptor: int, label: str) -> None:
        """See :meth:`Host.sync`."""
        last = self._before(label)
        super().sync(descriptor, label)
        if last:
            die()

    def write_out(self, descriptor: int, label: str) -> None:
        """See :meth:`Host.write_out`."""
        last = self._before(label)
        super().write_out(descriptor, label)
        if last:
            die()

    def both(self, one: Callable[[], None], other: Callable[[], None]) -> None:
        """See :meth:`Host.both`: one after the other, or what a fault strikes would be chance."""
        one()
        other()

    def sync_directory(self, path: str, label: str) -> None:
        """See :meth:`Host.sync_directory`."""
        last = self._before(label)
        super().sync_directory(path, label)
        if last:
            die()

    def rename(self, source: str, target: str, label: str) -> None:
        """See :meth:`Host.rename`."""
        last = self._before(label)
        super().rename(source, target, label)
        if last:
            die()

    def link(self, source: str, target: str, label: str) -> None:
        """See :meth:`Host.link`."""
        last = self._before(label)
        super().link(source, target, label)
        if last:
            die()

    def unlink(self, path: str, label: str) -> None:
        """See :meth:`Host.unlink`."""
        last = self._before(label)
        super().unlink(path, label)
        if last:
            die()

    def mkdir(self, path: str, label: str) -> None:
        """See :meth:`Host.mkdir`."""
        last = self._before(label)
        super().mkdir(path, label)
        if last:
            die()


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # not reached: the signal cannot be held off
