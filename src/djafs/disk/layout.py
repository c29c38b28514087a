"""Where everything lies in a store; every on-disk name is built and parsed here.

The directory tree is that of docs/formats/store.md.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass

_NUMBERED = re.compile(r"(\d{8,})\.(log|djfl|djfl\.zst|djfc\.zst|tar\.zst|djfm|tar\.zst\.par2)\Z")

_WORKSPACE = re.compile(r"parity-\w+\.tmp")

INDEX_SUFFIXES = ("", "-wal", "-shm", "-journal")
"""What SQLite appends to the name of the index for the files beside it."""


@dataclass(frozen=True)
class Layout:
    """The paths of one store, whose root is ``root`` (an absolute path)."""

    root: str

    @property
    def identity(self) -> str:
        """``djafs.json``: format version, store id, time zone, settings."""
        return os.path.join(self.root, "djafs.json")

    @property
    def lock(self) -> str:
        """The file whose flock(2) makes one process the writer."""
        return os.path.join(self.root, "lock")

    @property
    def index(self) -> str:
        """The SQLite index; SQLite adds ``-wal`` and ``-shm`` beside it."""
        return os.path.join(self.root, "index.sqlite")

    @property
    def old_index(self) -> str:
        """An index that did not fit the log, while another one is made."""
        return os.path.join(self.root, "index.old.sqlite")

    @property
    def new_index(self) -> str:
        """An index that is made while the store is in use, to take the place of a damaged one."""
        return os.path.join(self.root, "index.new.sqlite")

    @property
    def reserve(self) -> str:
        """Space that is kept for the day on which the disk is full."""
        return os.path.join(self.root, "reserve")

    @property
    def hot(self) -> str:
        """Directory of hot segments."""
        return os.path.join(self.root, "hot")

    @property
    def lookups(self) -> str:
        """Directory of lookup-log segments and checkpoints."""
        return os.path.join(self.root, "lookups")

    @property
    def archives(self) -> str:
        """Directory of archives and their metadata."""
        return os.path.join(self.root, "archives")

    @property
    def damaged(self) -> str:
        """Directory of damaged originals that a repair has set aside; nothing in it is used."""
        return os.path.join(self.root, "damaged")

    def hot_segment(self, number: int) -> str:
        """Path of hot segment ``number`` (1 and up)."""
        return os.path.join(self.hot, f"{number:08d}.log")

    def lookup_segment(self, number: int) -> str:
        """Path of lookup segment ``number`` while it is open or not yet compressed."""
        return os.path.join(self.lookups, f"{number:08d}.djfl")

    def closed_lookup_segment(self, number: int) -> str:
        """Path of lookup segment ``number`` once it is compressed."""
        return os.path.join(self.lookups, f"{number:08d}.djfl.zst")

    def checkpoint(self, number: int) -> str:
        """Path of the checkpoint of the log up to and with segment ``number``."""
        return os.path.join(self.lookups, f"{number:08d}.djfc.zst")

    @property
    def checkpoint_index(self) -> str:
        """The index from which a checkpoint is made, while that lasts."""
        return os.path.join(self.root, "checkpoint.sqlite")

    def archive(self, number: int) -> str:
        """Path of archive ``number`` (1 and up)."""
        return os.path.join(self.archives, f"{number:08d}.tar.zst")

    def archive_metadata(self, number: int) -> str:
        """Path of the metadata of archive ``number``."""
        return os.path.join(self.archives, f"{number:08d}.djfm")

    def archive_files(self, number: int) -> tuple[str, ...]:
        """Paths of all files of archive ``number``; not each of them need exist."""
        return self.archive(number), self.archive_metadata(number), self.archive_parity(number)

    def archive_draft(self, number: int) -> str:
        """Path under which archive ``number`` is written before it gets its name."""
        return os.path.join(self.archives, f"{number:08d}.tar.zst.tmp")

    def archive_parity(self, number: int) -> str:
        """Path of the recovery data of archive ``number``."""
        return os.path.join(self.archives, f"{number:08d}.tar.zst.par2")

    def parity_workspace(self) -> str:
        """Make a new directory of the store for a run of par2, and return its path."""
        return tempfile.mkdtemp(prefix="parity-", suffix=".tmp", dir=self.root)


def is_parity_workspace(path: str) -> bool:
    """Return whether ``path`` is a directory that :meth:`Layout.parity_workspace` has made."""
    is_named = _WORKSPACE.fullmatch(os.path.basename(path)) is not None
    return is_named and os.path.isdir(path) and not os.path.islink(path)


def numbers(directory: str, suffix: str) -> list[int]:
    """Return, ascending, the numbers of the files in ``directory`` named ``NNNNNNNN.suffix``.

    A directory that does not exist holds none.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = (_NUMBERED.fullmatch(name) for name in names)
    return sorted(int(match[1]) for match in found if match and match[2] == suffix)
