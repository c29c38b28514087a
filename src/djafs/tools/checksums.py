"""Lines for ``sha256sum --check``: the SHA-256 of every file of a tree, as the store knows them.

A file of one content is not read: the store has its SHA-256, and ``validate`` has compared that
with the archive. Larger ones, and those in the hot cache, are read.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from djafs.errors import DamageError
from djafs.model import Inode
from djafs.tools.export.view import View
from djafs.tools.export.walk import Item, walk

_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def write_checksums(
    view: View, emit: Callable[[bytes], object], complain: Callable[[bytes, str], None]
) -> None:
    """Emit one line for each regular file of a view; what cannot be read goes to ``complain``."""
    for item in walk(view):
        if isinstance(item, Item) and item.inode.is_regular:
            try:
                emit(line(digest_of(view, item.inode), item.path))
            except DamageError as error:
                complain(item.path, str(error))


def digest_of(view: View, state: Inode) -> str:
    """Return the SHA-256 of a file, reading it if need be (raises DamageError)."""
    known = view.contents.digest(state)
    if known is not None:
        return known.hex()
    sha = sha256()
    for chunk in view.contents.chunks(state):
        sha.update(chunk)
    return sha.hexdigest()


def line(digest: str, path: bytes) -> bytes:
    """Write a line as sha256sum(1) does: with a backslash before it where the name has escapes."""
    name = path
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return b"%s%s  %s\n" % (b"\\" if name != path else b"", digest.encode(), name)
