"""What the tree keeps of the index's last answers is never older than the index."""

from __future__ import annotations

import pytest

from djafs.store.recent import GROUPS, LISTED
from rig.small_store import ROOT, SmallStore


@pytest.fixture
def packed(world: SmallStore) -> SmallStore:
    """A store that was just opened, with 100 files in an archive."""
    for number in range(100):
        world.file(b"%d" % number, b"content %d" % number)
    world.collect()
    world.reopen()
    return world


def test_what_is_read_after_a_listing_is_not_asked_for_again(packed, monkeypatch):
    def refuse(ino):
        raise AssertionError(f"inode {ino} was asked for again")

    tree = packed.store.tree
    listed = tree.entries(ROOT, 0, 1000, plus=True)
    monkeypatch.setattr(tree.index, "inode", refuse)
    for entry in listed:
        content = packed.store.reads.live(entry.ino, 0, 100)
        assert content == b"content %s" % entry.name


def test_what_changed_since_it_was_listed_is_read_as_it_is_now(packed):
    """In the batch, while that is written to the index, and when it is in it."""
    store = packed.store
    listed = {entry.name: entry.ino for entry in store.tree.entries(ROOT, 0, 1000, plus=True)}
    packed.write(listed[b"7"], b"another")
    packed.unlink(b"8")
    store.syncer.flush()
    for name in (b"9", b"10"):  # so many others are not in the way
        packed.write(listed[name], b"another")
    assert packed.live() == {
        b"%d" % n: b"another" if n in {7, 9, 10} else b"content %d" % n
        for n in range(100)
        if n != 8
    }
    with store.guard:
        assert store.tree.inode(listed[b"7"]).size == 7
        assert store.tree.inode(listed[b"8"]) is None


def test_where_contents_lie_is_asked_for_again_when_they_have_moved(packed):
    before = packed.live()
    tree = packed.store.tree
    places = {cid: tree.content(cid) for cid in range(1, 101)}
    for number in range(90):
        packed.unlink(b"%d" % number)
    packed.collect()
    packed.compact()
    packed.store.syncer.flush()
    moved = {cid: tree.content(cid) for cid in range(1, 101)}
    assert moved != places
    assert packed.live() == {name: before[name] for name in before if int(name) >= 90}


def test_what_is_kept_is_bounded(packed):
    tree = packed.store.tree
    for number in range(LISTED + 100):
        packed.file(b"new %d" % number, b"new content %d" % number)
    packed.collect()
    packed.reopen()
    tree = packed.store.tree
    tree.entries(ROOT, 0, 10_000, plus=True)
    for cid in range(1, 100 + LISTED + 100):
        tree.content(cid)
    assert len(tree._recent._listed) <= LISTED
    assert len(tree._recent._groups) <= GROUPS
