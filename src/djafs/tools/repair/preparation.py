"""From what a check found to steps, file kind by file kind; drafts are made on the way."""

from __future__ import annotations

from collections.abc import Callable

from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.errors import DamageError
from djafs.store.aside import Aside
from djafs.store.identity import read_identity
from djafs.store.repairing import AnyStep, Replace
from djafs.tools.repair.archives import ArchiveRepair
from djafs.tools.repair.contents import ContentRepair
from djafs.tools.repair.recovery_data import ParityRepair
from djafs.tools.validate import Check
from djafs.tools.validation.findings import Kind

_ARCHIVE = {Kind.ARCHIVE_DAMAGED, Kind.ARCHIVE_MISSING}


class Preparation:
    """Prepares a repair; :attr:`steps` are to be carried out in the end.

    ``did`` and ``cannot`` are told, line by line, what is repaired with them and what is not.
    """

    def __init__(
        self,
        host: Host,
        layout: Layout,
        aside: Aside,
        check: Check,
        did: Callable[[str], None],
        cannot: Callable[[str], None],
    ) -> None:
        self.steps: list[AnyStep] = []
        self._host, self._layout, self._aside = host, layout, aside
        self._check, self._did, self._cannot = check, did, cannot
        self._identity = read_identity(layout)
        self._archives = ArchiveRepair(host, layout, aside, check.log.basis.index)
        self._damaged: set[int] = set()  # archives that cannot be had again as they were
        self._left: set[int] = set()  # and those whose recovery data has to be waited for

    def _suspects(self, *kinds: Kind) -> set[int]:
        """Return the archives with such a finding, as far as the log knows them."""
        known = self._check.archives.is_known
        return {s.archive for s in self._check.suspects if s.kind in kinds and known(s.archive)}

    def archives(self) -> None:
        """Have archives again bit for bit where that can be done, and their metadata."""
        renewed: dict[int, str] = {}
        for archive in sorted(self._suspects(*_ARCHIVE)):
            whole = self._archives.whole_again(archive, self._did)
            if whole is not None:
                renewed[archive] = whole.draft
                self.steps.append(whole)
            elif archive in self._archives.untried:
                where = f"archive {archive}"
                self._cannot(f"{where}: it is left as it is until its recovery data can be used")
            else:
                self._damaged.add(archive)
        self._left = self._archives.untried.difference(renewed) | self._damaged
        self._metadata(renewed)
        for archive in self._archives.untried.union(renewed):
            query = "DELETE FROM bad_content WHERE archive = ?"
            self._check.workspace.scratch.execute(query, (archive,))

    def _metadata(self, renewed: dict[int, str]) -> None:
        for archive in sorted(self._suspects(Kind.METADATA).union(renewed) - self._left):
            if archive in renewed and self._archives.has_metadata(archive):
                continue
            step = self._archives.metadata(archive, renewed.get(archive))
            if step is not None:
                self.steps.append(step)
                self._did(f"{step.path}: made again from its archive")

    def recovery_data(self, *, mounted: bool) -> None:
        """Make recovery data again; a daemon makes by itself what is missing."""
        broken = self._suspects(Kind.PARITY)
        if not mounted:
            broken.update(filter(self._check.archives.is_known, self._check.recovery_data.lacking))
        moved = {step.path: step.draft for step in self.steps if isinstance(step, Replace)}
        repair = ParityRepair(self._host, self._layout, self._aside, self._identity.parity)
        for step in repair.run(sorted(broken - self._left), moved, self._cannot):
            self.steps.append(step)
            self._did(f"{step.path}: made again from its archive")

    def contents(self, sources: list[str]) -> None:
        """Save content of archives that are damaged for good, and of the hot cache."""
        repair = ContentRepair(
            self._host,
            self._layout,
            self._aside,
            self._check,
            self._identity.id,
            sources,
            self._did,
        )
        try:
            repair.run(sorted(self._damaged))
        except (OSError, DamageError) as error:  # a full disk: nothing of it is in use
            self._cannot(f"content: {error}")
            return
        self.steps += repair.steps
