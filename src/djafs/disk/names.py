"""Finding a name of a directory in the index, and entering names.

A directory of many names has a hash with each; one of few is looked through from end to end,
which is as fast, and saves an index entry for each name. In one directory either all names have a
hash or none.
"""

from __future__ import annotations

from collections.abc import Mapping

from djafs.disk import rows, sqlite
from djafs.model import Dentry, Inode

FEW = 64
"""Names that a directory may have before they get hashes; they keep them."""

_SECOND_PASS = 9
"""Of so many names one is entered after the others.

SQLite leaves the pages of an index, or of a table without rowids, full to 7/8 when it grows at its
end only. What comes in between fills them: with one in 9 there is room for nearly all, and few
pages are split again.
"""

_HASHED = "EXISTS (SELECT 1 FROM dentry WHERE parent = ?1 AND hash IS NOT NULL)"
_PUT = (
    "INSERT OR REPLACE INTO dentry (parent, cookie, hash, name, ino, begin, made)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_GIVE_HASHES = "UPDATE dentry SET hash = name_hash(name) WHERE parent = ? AND hash IS NULL"


def by_name(columns: str, join: str = "") -> str:
    """Return the query for ``columns`` of the dentry ``d`` that :func:`key` is of."""
    many = f"SELECT {columns} FROM dentry d INDEXED BY dentry_name {join}"
    # CROSS JOIN: a directory of many names is not even begun to be looked through.
    few = f"SELECT {columns} FROM (SELECT 1 WHERE NOT {_HASHED}) CROSS JOIN dentry d {join}"
    return (
        f"{many} WHERE d.parent = ?1 AND d.hash = ?2 AND d.name = ?3 UNION ALL"
        f" {few} WHERE d.parent = ?1 AND d.name = ?3"
    )


def key(parent: int, name: bytes) -> rows.Row:
    """Return the arguments of :func:`by_name`."""
    return parent, rows.name_hash(name), name


def hashes_of(db: sqlite.Connection, parent: int) -> set[int]:
    """Return the hashes of all names of a directory."""
    if is_hashed(db, parent):
        query = "SELECT hash FROM dentry INDEXED BY dentry_name WHERE parent = ? AND hash NOT NULL"
        return {value for (value,) in db.execute(query, (parent,))}
    query = "SELECT name FROM dentry WHERE parent = ?"
    return {rows.name_hash(name) for (name,) in db.execute(query, (parent,))}


def is_hashed(db: sqlite.Connection, parent: int) -> bool:
    """Return whether the names of a directory have hashes."""
    return bool(db.execute(f"SELECT {_HASHED}", (parent,)).fetchone()[0])


def provide_hash(db: sqlite.Connection) -> None:
    """Let statements of a connection call ``name_hash``; every index does it when it is opened."""
    db.create_scalar_function("name_hash", rows.name_hash, 1, deterministic=True)


def put_names(
    db: sqlite.Connection,
    names: Mapping[int, Mapping[bytes, Dentry | None]],
    inodes: Mapping[int, Inode | None],
) -> None:
    """Enter names, by directory; ``inodes`` has the directories of all that are not None."""
    found = []
    for parent, entries in names.items():
        fresh = [(name, dentry) for name, dentry in entries.items() if dentry]
        directory = inodes.get(parent)
        if not fresh:
            continue
        hashed = is_hashed(db, parent)
        if not hashed and directory is not None and directory.entries > FEW:
            db.execute(_GIVE_HASHES, (parent,))
            hashed = True
        found += [
            (
                parent, d.cookie, rows.name_hash(name) if hashed else None, name,
                d.ino, d.begin or None, d.made or None,
            )
            for name, d in fresh
        ]  # fmt: skip
    db.executemany(_PUT, [row for number, row in enumerate(found) if number % _SECOND_PASS])
    db.executemany(_PUT, found[::_SECOND_PASS])
