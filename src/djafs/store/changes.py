"""What each record of the lookup log does to the live tree and to history.

The rules of versions, bindings and effective time are those of docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from djafs.disk import records
from djafs.disk.batch import Swept
from djafs.store.archive_changes import ArchiveChanges
from djafs.store.content_changes import ContentChanges
from djafs.store.name_changes import NameChanges
from djafs.store.tree import Tree
from djafs.store.versions import Versions


class Changes:
    """Applies records to a tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        versions = Versions(tree)
        content = ContentChanges(tree, versions)
        names = NameChanges(tree, versions, content)
        archives = ArchiveChanges(tree)
        self._apply: dict[type[records.Record], Callable[[Any], None]] = {
            records.Mount: self._mount,
            records.Create: names.create,
            records.File: names.file,
            records.Write: content.write,
            records.Setattr: content.setattr,
            records.Punch: content.punch,
            records.Clone: content.clone,
            records.Setxattr: content.setxattr,
            records.Link: names.link,
            records.Unlink: names.unlink,
            records.Rmdir: names.unlink,
            records.Rename: names.rename,
            records.Archive: archives.archive,
            records.Content: archives.content,
            records.Pack: archives.pack,
            records.Move: archives.move,
            records.Forget: archives.forget,
            records.Drop: archives.drop,
            records.Sweep: self._sweep,
        }

    def apply(self, record: records.Record) -> None:
        """Change the tree as ``record`` says (raises KeyError for an inode that is not there)."""
        change = self._apply.get(type(record))
        if change is not None:
            change(record)

    def _mount(self, record: records.Mount) -> None:
        for ino in list(self._tree.orphans):
            self._tree.free(ino)

    def _sweep(self, record: records.Sweep) -> None:
        batch = self._tree.batch
        batch.events.append(Swept(record.seq, record.t, record.first, record.last))
        batch.sealed = True
        self._tree.closed = max(self._tree.closed, record.t)
