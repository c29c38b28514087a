"""The live tree: what the index says, overlaid with the changes that it does not have yet.

:meth:`Tree.apply` is the one place where a record of the lookup log changes the tree; the daemon
calls it for what has just been logged, recovery for what it reads from the log. It trusts
records: whether an operation is allowed is decided before it is logged.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from djafs.disk import rows, sqlite, states
from djafs.disk.batch import Batch, ContentRow, PartClosed, Vacated
from djafs.disk.index import Index
from djafs.disk.lookup_line import Position
from djafs.extents import PART
from djafs.model import FIRST_COOKIE, LIVE_ROOT, Calendar, Dentry, Inode, Part
from djafs.store.name_hashes import NameHashes
from djafs.store.recent import Recent

CACHE = 4096
"""Inodes kept in memory beside those that have just changed."""

PARTS = 64
"""Parts of large files kept in memory beside those that have just changed."""

VACATED = 64
"""Names kept in memory that lost an open version a moment ago."""

ASKED = 256
"""Names that were looked up last, kept in memory with what was found."""

AHEAD = 64
"""Names that are read ahead, where names are asked for in their order."""


class Listed(NamedTuple):
    """An entry of a directory. ``cookie`` is its place: listing goes on behind it."""

    cookie: int
    name: bytes
    ino: int
    mode: int  # at least its type
    held: Inode | rows.Row | None  # the inode, or the row that it is made of; filled when asked for

    @property
    def inode(self) -> Inode | None:
        """The inode, which must not be changed; None where it was not asked for."""
        held = self.held
        return states.inode_of(held) if isinstance(held, tuple) else held


_listed = Listed._make


class Tree:
    """Lookups through the batch being filled, the batch being written, and the index."""

    def __init__(self, index: Index, calendar: Calendar) -> None:
        self.index = index
        self.calendar = calendar
        state = index.state()
        self.next_ino = state.get("ino", LIVE_ROOT + 1)
        self.next_content = state.get("content", 1)
        self.next_archive = state.get("archive", 1)
        self.last_segment = state.get("hot", 0)
        self.closed = state.get("closed", 0)  # versions that were at rest then stay closed
        self.vacated = index.vacated()
        self.frozen: Batch | None = None
        self.cloned: set[int] | None = None  # contents that clones refer to, while asked for
        self.generation = 1
        self.batch = self._new_batch(index.position())
        self.orphans = {
            ino for (ino,) in index.connection.execute("SELECT ino FROM inode WHERE nlink = 0")
        }
        self._cache: dict[int, Inode] = {}
        self._recent = Recent(index)
        self._hashes = NameHashes(index)
        self._asked: dict[tuple[int, bytes], Dentry | None] = {}
        self._parts: dict[tuple[int, int], Part] = {}
        self._last = (0, 0)  # directory and cookie of the name last found in the index, or read

    def begin_again(self) -> None:
        """Forget all that is in memory: another index says how things are."""
        vars(self).update(vars(Tree(self.index, self.calendar)))

    # Batches

    def freeze(self, position: Position) -> Batch:
        """Begin a new batch, and return the one that is to be written now.

        ``position`` is the place in the log up to which it goes.
        """
        assert self.frozen is None
        frozen = self.frozen = self.batch
        frozen.position = position
        frozen.next_ino = self.next_ino
        frozen.next_content = self.next_content
        frozen.next_archive = self.next_archive
        frozen.last_segment = self.last_segment
        if frozen.vacated is not None:
            frozen.vacated = frozen.vacated.copy()
        self.generation += 1
        self.batch = self._new_batch(position)
        return frozen

    def thaw(self) -> None:
        """Forget the batch that the index has now."""
        self.frozen = None
        self._recent.forget()

    def _new_batch(self, position: Position) -> Batch:
        return Batch(position, self.next_ino, self.next_content, self.next_archive)

    # Reading

    def inode(self, ino: int) -> Inode | None:
        """Return an inode; what is returned must not be changed."""
        found = self._cache.get(ino)
        if found is None:
            found = self._load(ino)
            if found is not None:
                self._remember(found)
        return found

    def _load(self, ino: int) -> Inode | None:
        if ino in self.batch.inodes:
            return self.batch.inodes[ino]
        if self.frozen is not None and ino in self.frozen.inodes:
            return self.frozen.inodes[ino]
        return self._recent.inode(ino)

    def _remember(self, inode: Inode) -> None:
        if len(self._cache) >= CACHE:
            for ino in list(islice(self._cache, CACHE // 8)):
                del self._cache[ino]
        self._cache[inode.ino] = inode

    def dentry(self, parent: int, name: bytes) -> Dentry | None:
        """Return what ``name`` is in a directory."""
        # The kernel looks a name up before it changes it, and a change looks again.
        key = (parent, name)
        if key in self._asked:
            return self._asked[key]
        if len(self._asked) >= ASKED:
            self._asked.clear()
        found = self._asked[key] = self._find(parent, name)
        return found

    def _find(self, parent: int, name: bytes) -> Dentry | None:
        for batch in (self.batch, self.frozen):
            if batch is not None:
                names = batch.names.get(parent)
                if names is not None and name in names:
                    return names[name]
        may = self._hashes.may_have(parent, name)
        if may is None:
            may = self._hashes.read(self.inode(parent), name, self.batch, self.frozen)
        if not may:
            return None
        found = self.index.dentry(parent, name)
        if found is not None:
            self._read_ahead(parent, found)
        return found

    def _read_ahead(self, parent: int, found: Dentry) -> None:
        """Read the names that follow, and their inodes, for who asks for them in their order.

        That is the order in which they were made: a second rsync, tar and du ask so. For two
        neighbours in a row it is worth it; at random they are hardly ever asked for.
        """
        directory, cookie = self._last
        self._last = parent, found.cookie
        if directory != parent or not cookie < found.cookie:
            return
        # Damage is for those to meet who ask for what is damaged.
        with suppress(sqlite.Error, ValueError):
            if self.index.are_neighbours(parent, cookie, found.cookie):
                self._read_behind(parent, found.cookie)

    def _read_behind(self, parent: int, cookie: int) -> None:
        pending = set(self.batch.names.get(parent, ()))
        if self.frozen is not None:
            pending.update(self.frozen.names.get(parent, ()))
        for name, dentry, row in self.index.following(parent, cookie, AHEAD):
            if name not in pending:
                inode = self._fresh(row)
                if inode is not None:
                    self._remember(inode)
                self._asked[parent, name] = dentry
            self._last = parent, dentry.cookie

    def entries(self, parent: int, after: int, limit: int, plus: bool) -> list[Listed]:
        """Return up to ``limit`` entries behind cookie ``after``, in order of their cookies."""
        pending = self.batch.names.get(parent)
        if self.frozen is not None and parent in self.frozen.names:
            pending = {**self.frozen.names[parent], **(pending or {})}
        if not pending:
            return self._page(parent, after, limit, plus)
        found: list[Listed] = []
        begin = after
        while len(found) < limit:
            page = self._page(parent, after, limit, plus)
            found += [entry for entry in page if entry.name not in pending]
            if len(page) < limit:
                # Names that are not in the index yet have larger cookies than all that are; those
                # of a batch that was just written to it may have been passed over above.
                fresh = [(d.cookie, n, d.ino) for n, d in pending.items() if d and d.cookie > begin]
                for cookie, name, ino in sorted(fresh)[: limit - len(found)]:
                    inode = self.inode(ino)
                    mode = inode.mode if inode is not None else 0
                    found.append(Listed(cookie, name, ino, mode, inode if plus else None))
                break
            after = page[-1].cookie
        return found[:limit]

    def _page(self, parent: int, after: int, limit: int, plus: bool) -> list[Listed]:
        if not plus:
            return [
                _listed((cookie, name, ino, states.type_of(state), None))
                for cookie, name, ino, state in self.index.entries(parent, after, limit)
            ]
        found = []
        fresh: dict[int, rows.Row] = {}
        cache, batch = self._cache, self.batch.inodes
        frozen = {} if self.frozen is None else self.frozen.inodes
        for listed in self.index.entries_plus(parent, after, limit):
            cookie, name, ino = listed[:3]
            if ino in cache or ino in batch or ino in frozen:
                inode = cache.get(ino) or self._load(ino)
                mode = 0 if inode is None else inode.mode
                found.append(_listed((cookie, name, ino, mode, inode)))
            else:
                row = fresh[ino] = listed[2:]
                found.append(_listed((cookie, name, ino, states.type_of(row[2]), row)))
        self._recent.keep(fresh)
        return found

    def _fresh(self, row: rows.Row) -> Inode | None:
        ino = row[0]
        found = self._cache.get(ino)
        if found is not None:
            return found
        if ino in self.batch.inodes or (self.frozen is not None and ino in self.frozen.inodes):
            return self._load(ino)
        return states.inode_of(row)

    def part(self, ino: int, number: int) -> Part | None:
        """Return part ``number`` (1 and up) of a file; it must not be changed."""
        key = (ino, number)
        for batch in (self.batch, self.frozen):
            if batch is not None and key in batch.parts:
                return batch.parts[key]
        part = self._parts.get(key)
        if part is None:
            part = self.index.part(ino, number)
            if part is not None:
                if len(self._parts) >= PARTS:
                    del self._parts[next(iter(self._parts))]
                self._parts[key] = part
        return part

    def part_numbers(self, ino: int) -> list[int]:
        """Return the numbers of the parts from 1 up that may hold anything, ascending."""
        present = set(self.index.part_numbers(ino))
        for batch in (self.frozen, self.batch):
            if batch is not None:
                present.update(number for i, number in batch.parts if i == ino)
        return sorted(present)

    def content(self, cid: int) -> ContentRow | None:
        """Return where a content lies."""
        for batch in (self.batch, self.frozen):
            if batch is not None and cid in batch.contents:
                return batch.contents[cid]
        return self._recent.content(cid)

    def pending(self, parent: int, ino: int) -> bool:
        """Return whether a name in ``parent`` or inode ``ino`` changed since the index did."""
        return any(
            batch is not None and (parent in batch.names or ino in batch.inodes)
            for batch in (self.batch, self.frozen)
        )

    # Changing: for djafs.store.changes only

    def writable(self, ino: int) -> Inode:
        """Return an inode of the current batch, to be changed."""
        inode = self.inode(ino)
        if inode is None:
            raise KeyError(ino)
        if inode.generation != self.generation:
            if self.frozen is not None and ino in self.frozen.inodes:
                inode = inode.copy()  # what is being written to the index does not change
            inode.generation = self.generation
            self._cache[ino] = inode
            self.batch.inodes[ino] = inode
        return inode

    def add(self, inode: Inode) -> None:
        """Enter a new inode; it is remembered when somebody asks for it."""
        inode.generation = self.generation
        self.batch.inodes[inode.ino] = inode

    def free(self, ino: int) -> None:
        """Let an inode go that has no name and that nobody holds open."""
        inode = self.inode(ino)
        if inode is not None and inode.size > PART:
            for number in self.part_numbers(ino):
                self.batch.parts[ino, number] = None
                self._parts.pop((ino, number), None)
        self._cache.pop(ino, None)
        self.orphans.discard(ino)
        self.batch.inodes[ino] = None

    def bind(self, parent: int, name: bytes, dentry: Dentry) -> None:
        """Enter a name."""
        self._asked.pop((parent, name), None)
        names = self.batch.names.get(parent)
        if names is None:
            names = self.batch.names[parent] = {}
        names[name] = dentry
        self._hashes.add(parent, name)

    def unbind(self, parent: int, name: bytes, dentry: Dentry) -> None:
        """Remove a name."""
        self._asked.pop((parent, name), None)
        self.batch.names.setdefault(parent, {})[name] = None
        self.batch.removed.append((parent, dentry.cookie))

    def vacate(self, parent: int, name: bytes, lost: Vacated) -> None:
        """Remember a name that lost an open version."""
        self.vacated.pop((parent, name), None)
        self.vacated[parent, name] = lost
        if len(self.vacated) > VACATED:
            del self.vacated[next(iter(self.vacated))]
        self.batch.vacated = self.vacated

    def fill(self, parent: int, name: bytes) -> Vacated | None:
        """Forget a name that is given again; return what it had lost."""
        lost = self.vacated.pop((parent, name), None)
        if lost is not None:
            self.batch.vacated = self.vacated
        return lost

    def writable_part(self, inode: Inode, number: int) -> Part:
        """Return part ``number`` (1 and up) of a file, to be changed in its current version."""
        key = (inode.ino, number)
        part = self.batch.parts.get(key)
        if part is None:
            old = self.part(inode.ino, number)
            # Where no part is noted, all versions so far have a hole.
            part = Part(old.extents.copy(), old.version) if old else Part([], 0)
            self.put_part(inode.ino, number, part)
        if part.version < inode.version:
            if inode.nlink and inode.version > 1:
                event = PartClosed(inode.ino, number, inode.version - 1, part.extents.copy())
                self.batch.events.append(event)
            part.version = inode.version
        return part

    def put_part(self, ino: int, number: int, part: Part) -> None:
        """Replace part ``number`` (1 and up) of a file."""
        self.batch.parts[ino, number] = part
        self._parts.pop((ino, number), None)


def parts_of(offset: int, length: int) -> list[tuple[int, int, int]]:
    """Cut a range of a file at its parts: (part, begin in the part, length) of each piece."""
    pieces = []
    while length > 0:
        number, begin = divmod(offset, PART)
        size = min(length, PART - begin)
        pieces.append((number, begin, size))
        offset += size
        length -= size
    return pieces


def cookie_of(seq: int, second: bool = False) -> int:
    """Return the directory cookie of a binding that record ``seq`` made."""
    return FIRST_COOKIE + 2 * seq + second
