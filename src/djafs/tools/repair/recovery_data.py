"""Recovery data made again, from archives that are whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from djafs.disk import archive_metadata, parity
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import ArchiveDamageError, ParityError
from djafs.store.aside import Aside
from djafs.store.repairing import Replace

DEFAULT = 10
"""Percentage where neither the store nor what is left of the recovery data says one."""


class ParityRepair:
    """Makes drafts of recovery data."""

    def __init__(self, host: Host, layout: Layout, aside: Aside, percent: int) -> None:
        """``percent`` is that of the store, 0 for none."""
        self._host, self._layout, self._aside, self._percent = host, layout, aside, percent

    def run(
        self, archives: list[int], moved: dict[str, str], cannot: Callable[[str], None]
    ) -> Iterator[Replace]:
        """Yield what takes the place of recovery data; what cannot be made goes to ``cannot``.

        ``moved`` are drafts of archives and metadata by the paths that they will have, all
        relative to the store.
        """
        for archive in archives:
            path = self._relative(self._layout.archive_parity(archive))
            draft = os.path.join(self._aside.prepare(), os.path.basename(path) + ".tmp")
            try:
                self._make(archive, moved, draft)
            except (ParityError, ArchiveDamageError, OSError) as error:
                cannot(f"{path}: {error}")
            else:
                yield Replace(path, self._relative(draft), archive)

    def _make(self, archive: int, moved: dict[str, str], draft: str) -> None:
        source = self._present(self._layout.archive(archive), moved)
        path = self._present(self._layout.archive_metadata(archive), moved)
        with open(path, "rb") as file:
            stated = archive_metadata.decode(file.read(1 << 20), path)
        percent = self._percent or self._told(archive) or DEFAULT
        parity.draft(
            self._layout, archive, percent, stated.sha256, draft, source=source, host=self._host
        )

    def _present(self, path: str, moved: dict[str, str]) -> str:
        """Return where the file is now that will be at ``path``."""
        return os.path.join(self._layout.root, moved.get(self._relative(path), path))

    def _told(self, archive: int) -> int | None:
        with suppress(OSError):
            return parity.percent_of(self._layout, archive)
        return None

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._layout.root)
