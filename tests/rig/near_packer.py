"""A packer without a process of its own: what that adds is tested elsewhere."""

from __future__ import annotations

import shutil

from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.model import Calendar
from djafs.packing.pack import pack
from djafs.packing.packer import Packer
from djafs.packing.parity_worker import make
from djafs.packing.plan import PackPlan, PackResult
from djafs.packing.survey import Reached, survey
from djafs.store import index_draft
from djafs.store.identity import read_identity


class NearPacker(Packer):
    """Packs and surveys in this process."""

    def __init__(self, layout: Layout, host: Host | None = None) -> None:
        """Change the store at ``layout`` through ``host``."""
        super().__init__(layout, host=host)

    def run(self, plan: PackPlan, cancelled: object = None) -> PackResult:
        """Pack ``plan``."""
        index = Index.open_read_only(self._layout)
        try:
            return pack(plan, self._layout, index.find_content, host=self._host)
        finally:
            index.close()

    def ask(self, command: list[str], cancelled: object = None) -> int:
        """Make the draft of an index: what else is asked is overridden here."""
        assert command[1:] == ["-m", "djafs.store.index_draft", self._layout.root]
        identity = read_identity(self._layout)
        calendar = Calendar(identity.zone())
        return index_draft.make(self._layout, identity.id, calendar, self._host)

    def protect(self, archive: int, percent: int, cancelled: object = None) -> int:
        """Make recovery data."""
        workspace = self._layout.parity_workspace()
        try:
            return make(self._layout, archive, percent, workspace, 0, self._host)
        finally:
            shutil.rmtree(workspace)

    def survey(self) -> Reached:
        """Return what the index refers to."""
        index = Index.open_read_only(self._layout)
        try:
            return survey(index.connection)
        finally:
            index.close()
