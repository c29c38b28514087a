"""How much of the lookup log a mount has to read."""

from __future__ import annotations

import os
from pathlib import Path

from djafs.model import LIVE_ROOT
from djafs.store.recovery import read_tail
from djafs.store.store import Store


def _fill(store: Store, names: range) -> None:
    with store.guard:
        for number in names:
            store.create(LIVE_ROOT, b"%d" % number, 0o100644, 0, 0)


def test_what_a_mark_covers_is_not_read_again(store: Path) -> None:
    opened = Store.open(os.fspath(store), create=True)
    _fill(opened, range(500))
    opened.syncer.make_durable(opened.log.seq)
    durable = opened.syncer.durable
    _fill(opened, range(500, 503))
    # Read as after a kill: three names and the mark itself, not the five hundred before.
    tail = read_tail(opened.layout, opened.identity.id)
    assert tail.end == opened.log.position
    assert tail.cut is None
    assert tail.since.seq == durable
    opened.close()


def test_a_new_store_has_a_mark_that_covers_its_beginning(store: Path) -> None:
    opened = Store.open(os.fspath(store), create=True)
    begun = opened.log.seq - 1  # the mark itself is the last
    _fill(opened, range(20))
    tail = read_tail(opened.layout, opened.identity.id)
    assert tail.end == opened.log.position
    assert tail.since.seq == begun
    opened.close()
