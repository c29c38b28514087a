"""How often the tree asks the index: few names of many directories, and many of one."""

from collections import Counter

import pytest

from djafs.model import LIVE_ROOT
from djafs.store.store import Store

NAMES = 320


@pytest.fixture
def opened(store):
    """A store with two directories of names, all of it in the index."""
    held = Store.open(str(store), create=True)
    with held.guard:
        for name in (b"one", b"other"):
            directory = held.create(LIVE_ROOT, name, 0o040755, 0, 0).ino
            for number in range(NAMES):
                held.create(directory, b"%d" % number, 0o100644, 0, 0)
    held.close()
    held = Store.open(str(store))
    yield held
    held.close()


@pytest.fixture
def asked(opened, monkeypatch):
    """How often the index was asked, by the method."""
    counts = Counter()
    index = opened.tree.index
    for method in ("dentry", "name_hashes"):
        real = getattr(index, method)

        def counted(*arguments, real=real, method=method):
            counts[method] += 1
            return real(*arguments)

        monkeypatch.setattr(index, method, counted)
    return counts


def test_a_few_names_of_a_directory_are_asked_for_one_by_one(opened, asked):
    directory = opened.dentry(LIVE_ROOT, b"one").ino
    asked.clear()
    for number in range(0, NAMES, 32):
        assert opened.dentry(directory, b"%d" % number)
        assert opened.dentry(directory, b"new %d" % number) is None
    assert asked["name_hashes"] <= 1  # the last of them may have found it worth while
    assert asked["dentry"] >= 19


def test_new_names_of_a_directory_that_is_being_filled_are_not_asked_for(opened, asked):
    directory = opened.dentry(LIVE_ROOT, b"one").ino
    asked.clear()
    for number in range(1000):
        assert opened.dentry(directory, b"new %d" % number) is None
    assert asked["name_hashes"] == 1
    assert asked["dentry"] < 25
    assert opened.dentry(directory, b"17")


def test_as_many_hashes_are_kept_as_there_is_room_for(opened, monkeypatch):
    tree, hashes = opened.tree, opened.tree._hashes
    monkeypatch.setattr("djafs.store.name_hashes.HASHES", 4 * (NAMES + 2))
    one, other = (opened.dentry(LIVE_ROOT, name).ino for name in (b"one", b"other"))
    most = 0
    for number in range(3 * NAMES):
        with opened.guard:
            directory = opened.create(LIVE_ROOT, b"d %d" % number, 0o040755, 0, 0).ino
            opened.create(directory, b"first", 0o100644, 0, 0)
            assert tree.dentry(directory, b"second") is None  # now its hashes are read
            opened.create(directory, b"second", 0o100644, 0, 0)
            opened.create((one, other)[number % 2], b"new %d" % number, 0o100644, 0, 0)
        assert hashes._count == sum(map(len, hashes._hashes.values()))
        assert hashes._count <= 4 * (NAMES + 2) + 4  # what is there grows with each name
        most = max(most, len(hashes._hashes))
    assert most > 10
