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
