"""A random life of a store, ended by a power cut, and what must be there afterwards."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

from djafs.fuse import Request
from djafs.mounting.durable import DurableCloseHandler
from djafs.mounting.pressure import Pressure
from djafs.packing.compaction import Limits
from djafs.store.collector import Collector
from djafs.store.log_keeper import LogKeeper
from djafs.store.store import Store
from djafs.testing.power_cut import Killed, PowerCut, PowerCutHost
from rig.near_keeper import NearKeeper
from rig.near_packer import NearPacker
from rig.small_store import NOON, ROOT, SECOND

State = dict[bytes, bytes]
"""The content of every file in the root, by name."""

NO_COMMANDS: Any = None
"""What an ioctl may ask for: nothing does here."""

NAMES = [b"%d.json" % number for number in range(8)]


class Life:
    """Random changes to a store, and every state that it went through.

    ``states[n]`` is how it was after the nth change; the disk must have at least ``durable``.
    """

    def __init__(self, root: Path, host: PowerCutHost, rng: random.Random, state: State) -> None:
        self.root, self.host, self.rng = root, host, rng
        self.states: list[State] = [state]
        self.durable = 0
        self.now = NOON
        self.store: Store | None = None

    def clock(self) -> int:
        self.now += SECOND // 100
        return self.now

    def live(self, changes: int) -> None:
        """Open the store, change it, close it; or end with PowerCut wherever that strikes.

        Now and then the process is killed, and another one goes on.
        """
        while True:
            if self.rng.random() < 0.6:
                self.host.kill_at = self.host.steps + self.rng.randint(1, 100)
            try:
                self.open()
                for _ in range(changes):
                    self.change()
                store, self.store = self.store, None
                store.close()
            except Killed:
                self.abandon()
            else:
                break
        self.durable = len(self.states) - 1

    def open(self) -> None:
        """Take the store, with all that was acknowledged; that is durable then."""
        self.store = Store.open(
            os.fspath(self.root), create=True, host=self.host, clock=self.clock, frame_cache=1 << 20
        )
        found = content_of(self.store)
        assert found in self.states[-2:], "what was acknowledged is not there after a kill"
        if found != self.states[-1]:
            self.expect(found)
        self.sync()

    def change(self) -> None:
        weights = {
            self.create: 6, self.append: 6, self.overwrite: 3, self.cut: 1, self.rename: 4,
            self.unlink: 2, self.sync: 3, self.flush: 2, self.pack: 2, self.roll: 1,
            self.close_log: 1, self.checkpoint: 1, self.write_and_close: 3,
        }  # fmt: skip
        self.rng.choices(list(weights), list(weights.values()))[0]()

    # Changes

    def expect(self, state: State) -> None:
        """Note the state that the change which is about to be made leads to."""
        self.states.append(state)

    def content(self) -> bytes:
        size = self.rng.choice((1, 200, 700, 5000, 70_000, 200_000))
        return self.rng.randbytes(size)

    def inode(self, name: bytes) -> int:
        assert self.store is not None
        dentry = self.store.dentry(ROOT, name)
        assert dentry is not None
        return dentry.ino

    def some(self) -> bytes | None:
        return self.rng.choice(sorted(self.states[-1])) if self.states[-1] else None

    def create(self) -> None:
        assert self.store is not None
        name = self.rng.choice(NAMES)
        if name in self.states[-1]:
            return
        self.expect({**self.states[-1], name: b""})
        ino = self.store.create(ROOT, name, 0o100644, 1, 1).ino
        self.write(name, ino, 0, self.content())

    def write(self, name: bytes, ino: int, offset: int, data: bytes) -> None:
        assert self.store is not None
        old = self.states[-1][name]
        new = old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]
        self.expect({**self.states[-1], name: new})
        self.store.write(ino, offset, data)

    def append(self) -> None:
        name = self.some()
        if name is not None:
            self.write(name, self.inode(name), len(self.states[-1][name]), self.content())

    def overwrite(self) -> None:
        name = self.some()
        if name is not None:
            offset = self.rng.randint(0, len(self.states[-1][name]) + 100)
            self.write(name, self.inode(name), offset, self.content())

    def cut(self) -> None:
        assert self.store is not None
        name = self.some()
        if name is not None:
            size = self.rng.randint(0, len(self.states[-1][name]))
            self.expect({**self.states[-1], name: self.states[-1][name][:size]})
            self.store.setattr(self.inode(name), size=size)

    def rename(self) -> None:
        assert self.store is not None
        name, target = self.some(), self.rng.choice(NAMES)
        if name is None or name == target:
            return
        state = dict(self.states[-1])
        state[target] = state.pop(name)
        taken = self.store.dentry(ROOT, target)
        self.expect(state)
        self.store.rename(ROOT, name, ROOT, target)
        if taken is not None:
            self.store.free(taken.ino)

    def unlink(self) -> None:
        assert self.store is not None
        name = self.some()
        if name is not None:
            state = dict(self.states[-1])
            del state[name]
            ino = self.inode(name)
            self.expect(state)
            self.store.unlink(ROOT, name)
            self.store.free(ino)

    # What makes durable

    def sync(self) -> None:
        """Do what fsync(2) does."""
        assert self.store is not None
        self.store.syncer.make_durable(self.store.log.seq)
        self.durable = len(self.states) - 1

    def flush(self) -> None:
        """Do what happens once a second."""
        assert self.store is not None
        self.store.syncer.flush()
        self.durable = len(self.states) - 1

    def pack(self) -> None:
        assert self.store is not None
        packer = NearPacker(self.store.layout, self.host)
        limits = Limits(fan=2) if self.rng.random() < 0.5 else None
        collector = Collector(self.store, packer, 1, limits, 1)
        with contextlib.closing(collector):
            if self.rng.random() < 0.8:
                collector.collect(0)
            else:
                collector.compact()
        self.durable = len(self.states) - 1

    def close_log(self) -> None:
        assert self.store is not None
        LogKeeper(self.store).close_segments()

    def checkpoint(self) -> None:
        """Have a checkpoint made, and what it covers removed."""
        assert self.store is not None
        NearKeeper(self.store).checkpoint()
        self.durable = len(self.states) - 1

    def write_and_close(self) -> None:
        """Append to a file through a mount with ``--durable close``, and close it."""
        assert self.store is not None
        name = self.some()
        if name is None:
            return
        handler = DurableCloseHandler(self.store, NO_COMMANDS, lambda: None, Pressure(1 << 40))
        request = Request()
        request.nodeid = self.inode(name)
        old, data = self.states[-1][name], self.content()
        self.expect({**self.states[-1], name: old + data})
        handler.write(request, 0, len(old), memoryview(data), 0, 0)
        closing = handler.flush(request, 0)
        assert closing is not None
        closing.function()
        self.durable = len(self.states) - 1

    def roll(self) -> None:
        assert self.store is not None
        self.store.hot.roll()

    # The end

    def abandon(self) -> None:
        """Close what a process that is gone had open."""
        if self.store is not None:
            self.store._let_go()
            self.store = None
        self.host.let_go()


def content_of(store: Store) -> State:
    """Return what a store shows, every byte of it read."""
    with store.guard:
        entries = store.tree.entries(ROOT, 0, 10_000, plus=True)
    return {
        entry.name: store.reads.live(entry.ino, 0, entry.inode.size)
        for entry in entries
        if entry.inode is not None
    }


def live_until_cut(life: Life, changes: int) -> bool:
    """Live until the power goes; return whether it has."""
    try:
        life.live(changes)
    except PowerCut:
        return True
    finally:
        life.abandon()
    return False
