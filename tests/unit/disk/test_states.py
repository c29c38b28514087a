"""Rows of inodes: every state comes back as it was, and what is no state is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djafs.disk import rows, states
from djafs.extents import PART, Extent
from djafs.model import NEVER, Inode

NOW = 1_790_000_000_123_456_789
TIMES = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, (1 << 32) - 1).map(lambda second: second * 10**9),
    st.integers(NOW - (1 << 33), NOW + (1 << 33)),
)
IDS = st.sampled_from([0, 1, 1000, (1 << 16) - 1, 1 << 16, (1 << 32) - 1])
NUMBERS = st.sampled_from([0, 1, (1 << 16) - 1, 1 << 16, (1 << 32) - 1, 1 << 32, (1 << 63) - 1])
WHOLE = st.integers(1, 16 << 20)
HOT = Extent(0, 300, 7, 100, 100, 300, b"abcd")


@st.composite
def inodes(draw: st.DrawFn) -> Inode:
    mode = draw(st.sampled_from([0o100644, 0o040755, 0o120777, 0o104755]))
    inode = Inode(draw(st.integers(2, 1 << 40)), mode, draw(IDS), draw(IDS), NOW)
    inode.nlink = draw(st.integers(0, 3))
    inode.size = draw(NUMBERS)
    inode.mtime, inode.ctime, inode.atime = draw(TIMES), draw(TIMES), draw(TIMES)
    inode.last = draw(st.sampled_from([inode.ctime, NOW]))
    inode.version = draw(st.sampled_from([1, 2, 1 << 20]))
    inode.floor = draw(st.one_of(st.just(NEVER), TIMES))
    inode.content, inode.explicit, inode.seen = (draw(st.booleans()) for _ in range(3))
    inode.parent, inode.entries, inode.files = (draw(st.integers(0, 3)) for _ in range(3))
    inode.rdev = draw(IDS)
    inode.target = draw(st.sampled_from([None, b"", b"there"]))
    inode.xattrs = draw(st.sampled_from([None, {b"user.a": b"1"}]))
    inode.born = draw(st.sampled_from([None, {1: NOW}]))
    inode.extents = draw(
        st.sampled_from([[], [HOT], [Extent(5, 5, 0, 0, 9)], [Extent(0, 9, 0, 0, 1 << 40)]])
    )
    if draw(st.booleans()):
        inode.size = draw(WHOLE)
        inode.extents = [Extent(0, inode.size, 0, 0, draw(st.integers(1, (1 << 32) - 1)))]
    return inode


def stored(inode: Inode) -> rows.Row:
    """Return the row of an inode as queries have it."""
    hot = states.hot_row(inode)
    return (*states.inode_row(inode), hot[3] if hot else None)


@given(inodes())
def test_what_is_stored_comes_back(inode: Inode):
    assert rows.fields_of(states.inode_of(stored(inode))) == rows.fields_of(inode)
    assert rows.fields_of(rows.inode_from(rows.fields_of(inode))) == rows.fields_of(inode)


def make_bare(inode: Inode) -> None:
    """Leave of an inode what most files have."""
    inode.parent = inode.entries = inode.files = inode.rdev = 0
    inode.target = inode.xattrs = inode.born = None
    inode.last = inode.ctime


@given(inodes(), st.booleans())
def test_what_is_plain_says_the_same(inode: Inode, bare: bool):
    if bare:
        make_bare(inode)
    row = stored(inode)
    plain = states.plain_of(row[2])
    whole = [Extent(0, min(inode.size, PART), 0, 0, e.base) for e in inode.extents]
    if plain is None:
        assert not bare or whole != inode.extents or whole[0].base >= 1 << 32
    else:
        assert (plain.mode, plain.size) == (inode.mode, inode.size)
        assert inode.extents == whole
        assert [plain.content] == ([e.base for e in inode.extents] or [None])
        assert bare or rows.fields_of(states.inode_of(row))[15:] == (None, None, None, None)


@given(inodes(), st.booleans())
def test_what_is_shown_of_a_plain_file_is_that_of_its_inode(inode: Inode, bare: bool):
    if bare:
        make_bare(inode)
    state = stored(inode)[2]
    shown = states.shown_of(state)
    if shown is None:
        plain = states.plain_of(state)
        assert plain is None or not inode.is_regular or inode.size > PART
    else:
        held = sum(extent.length for extent in inode.extents)
        times = (inode.atime, inode.mtime, inode.ctime)
        assert shown == (inode.size, held, *times, inode.mode, inode.uid, inode.gid)
        assert inode.rdev == 0


@given(inodes(), st.integers(0, 3))
def test_when_a_version_began_is_told_without_the_rest(inode: Inode, made: int):
    assert states.began(stored(inode)[2], made) == inode.began(made)


def document() -> Inode:
    inode = Inode(9, 0o100644, 0, 0, NOW)
    inode.size, inode.mtime, inode.atime = 2500, 1_700_000_000 * 10**9, NOW - 1000
    return inode


def test_a_document_takes_few_bytes_and_as_many_when_it_is_packed():
    inode = document()
    inode.extents = [Extent(0, 2500, 7, 100, 100, 2500, b"abcd")]
    hot = states.inode_row(inode)[2]
    inode.extents = [Extent(0, 2500, 0, 0, 4711)]
    assert len(states.inode_row(inode)[2]) == len(hot) == 26


def test_a_row_that_is_damaged_is_refused():
    ino, nlink, state, _ = stored(document())
    for damaged in (b"", state[:1], state[:-1], None):
        assert states.plain_of(damaged) is None
        assert states.shown_of(damaged) is None
        with pytest.raises(ValueError, match="damaged"):
            states.began(damaged, 1)
        with pytest.raises(ValueError, match="inode 9"):
            states.inode_of((ino, nlink, damaged, None))
    inode = document()
    inode.extents = [HOT]
    with pytest.raises(ValueError, match="inode 9"):
        states.inode_of((*states.inode_row(inode), None))  # hot, and not to be found


def test_what_is_out_of_range_is_refused():
    inode = document()
    inode.uid = 1 << 32
    with pytest.raises(ValueError, match="inode 9"):
        states.inode_row(inode)
