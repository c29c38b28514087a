"""``djafs validate -r``: check, repair what can be repaired, check again.

Where the store is not mounted this process holds it all the time, but for a moment between two
steps. Where it is, this process reads and prepares, and the daemon commits.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from glob import escape, glob
from typing import Protocol

from djafs.disk.checkpoint import checkpoint_numbers
from djafs.disk.host import Host
from djafs.disk.layout import INDEX_SUFFIXES, Layout, numbers
from djafs.disk.legacy_layout import is_legacy
from djafs.disk.lookup_line import START
from djafs.disk.lookup_reader import Damage
from djafs.errors import LookupLogDamageError, NotAStoreError, UsageError
from djafs.store.aside import Aside
from djafs.store.identity import StoreLock, prepare_directories, read_identity
from djafs.store.repairing import AnyStep, commit
from djafs.store.store import Store
from djafs.tools.repair import identity, log
from djafs.tools.repair.preparation import Preparation
from djafs.tools.repair.salvage import Salvage
from djafs.tools.validate import Check, check_store
from djafs.tools.validation.findings import Finding, Kind
from djafs.tools.validation.log_lines import Gap, store_of
from djafs.tools.validation.text import TextReport, counted

CLEAN = 0
REPAIRED = 1
ERRORS_LEFT = 4

_LOG = {Kind.LOG_DAMAGED, Kind.LOG_MISFIT, Kind.LOG_SHORT}
_INDEX = {Kind.INDEX_DAMAGED, Kind.INDEX_DIFFERS, Kind.INDEX_MISSING, Kind.INDEX_OTHER_SCHEMA}
_OPENED = _INDEX | {Kind.LOG_TAIL}
"""What opening the store repairs: recovery cuts the log, and makes the index anew."""


class Committer(Protocol):
    """Whoever holds a store that is mounted, and repairs it on behalf of this process."""

    def commit(self, name: str, steps: list[AnyStep]) -> None:
        """Carry out steps; originals are kept in directory ``name`` of ``damaged/``."""

    def make_index_anew(self, name: str) -> None:
        """Have an index made from the log take the place of the damaged one."""

    def begin_log_anew(self, name: str, damaged: list[str]) -> None:
        """Have a checkpoint take the place of damaged files of the lookup log."""


@dataclass
class _Findings:
    """What a check found that a repair acts on."""

    kinds: set[Kind] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)  # damaged files of the lookup log

    def note(self, finding: Finding) -> None:
        self.kinds.add(finding.kind)
        if finding.kind is Kind.LOG_DAMAGED:
            self.logs.append(finding.where)


class Repair:
    """One repair of one store."""

    def __init__(
        self,
        path: str,
        sources: list[str],
        *,
        verbose: bool,
        report: Callable[[str], None],
        daemon: Committer | None = None,
        host: Host | None = None,
    ) -> None:
        """``sources`` are directories that may hold lost content. ``daemon`` holds the store."""
        self._layout = Layout(path)
        self._host = host or Host()
        self._sources = sources
        self._text = TextReport(report)
        self._verbose = verbose
        self._report = report
        self._daemon = daemon
        self._aside = Aside(self._host, self._layout)
        self._found = _Findings()
        self._steps: list[AnyStep] = []
        self._done = False
        self._loss = 0

    def run(self) -> int:
        """Repair, and return an exit status of fsck(8): 0, 1 or 4.

        Raises NotAStoreError, LockedError, OSError and others where it cannot run.
        """
        self._check_arguments()
        with self._held() as held:
            if held:
                self._clear_drafts(self._layout.damaged + "/*")
                self._repair_identity()
            check_store(
                self._layout,
                self._tell,
                self._say,
                held=held,
                follow=Salvage,
                then=self._repair,
            )
        try:
            if self._daemon is not None:
                self._daemon_commits(self._daemon)
            elif self._steps or self._found.kinds & (_OPENED | _LOG):
                self._open()
        finally:
            self._clear_drafts(self._aside.path)
        return self._conclude()

    def _check_arguments(self) -> None:
        """Raise UsageError or NotAStoreError for what cannot be repaired, or searched."""
        root = self._layout.root
        if is_legacy(root):
            raise UsageError(
                f"{root} is a store of the original djafs, which is not repaired: bring it over "
                "with djafs convert"
            )
        for source in self._sources:
            if not os.path.isdir(source):
                raise UsageError(f"--from {source}: there is no such directory")
        try:
            read_identity(self._layout)
        except NotAStoreError as error:
            try:
                store_of(self._layout)
            except LookupLogDamageError:
                raise error from None

    @contextlib.contextmanager
    def _held(self) -> Iterator[bool]:
        """Hold the store, unless a daemon does; yield whether it is held."""
        if self._daemon is not None:
            yield False
            return
        lock = StoreLock.take(self._layout)
        try:
            prepare_directories(self._host, self._layout)
            yield True
        finally:
            lock.release()

    # Saying

    def _tell(self, finding: Finding) -> None:
        self._found.note(finding)
        self._text.tell(finding)

    def _say(self, line: str) -> None:
        if self._verbose:
            self._text.say(line)

    def _did(self, line: str) -> None:
        self._done = True
        self._say(f"repair: {line}")

    def _could_not(self, what: str) -> None:
        self._loss += 1
        self._text.say(f"not repaired: {what}")

    # Doing

    def _repair_identity(self) -> None:
        if identity.is_sound(self._layout):
            return
        try:
            self._did(identity.make_again(self._host, self._layout, self._aside))
        except LookupLogDamageError as error:
            self._could_not(f"djafs.json: {error}")

    def _repair(self, check: Check) -> None:
        """Act on what a check found, as far as it can be done before the store is opened."""
        basis = check.log.basis
        assert isinstance(basis, Salvage)
        if self._daemon is None:
            if self._is_log_gone(basis):
                basis.passes(Gap(Damage(self._layout.lookups, 0, "there is no log"), None))
            if basis.lost or self._found.kinds & _LOG:
                self._repair_log(basis)
            elif self._found.kinds & _INDEX:
                self._aside.remove(*(self._layout.index + suffix for suffix in INDEX_SUFFIXES))
                self._did("index.sqlite: is made anew from the log")
                self._keep_unknown_segments(basis)
        preparation = Preparation(
            self._host, self._layout, self._aside, check, self._did, self._could_not
        )
        preparation.archives()
        preparation.recovery_data(mounted=self._daemon is not None)
        preparation.contents(self._sources)
        self._steps = preparation.steps

    def _is_log_gone(self, basis: Salvage) -> bool:
        present = numbers(self._layout.archives, "tar.zst")
        if basis.position == START:
            return bool(present or checkpoint_numbers(self._layout))
        # A crash leaves at most one archive that the log does not know yet.
        return any(number > basis.next_archive for number in present)

    def _keep_unknown_segments(self, basis: Salvage) -> None:
        """Keep hot content of which neither log nor index know: the end of the log may be lost."""
        for number in numbers(self._layout.hot, "log"):
            path = self._layout.hot_segment(number)
            if number > basis.last_segment and os.path.getsize(path):
                self._aside.keep(path)
                where = os.path.relpath(path, self._layout.root)
                self._could_not(
                    f"{where}: the log does not know what is in it; it is kept in"
                    f" {os.path.relpath(self._aside.path, self._layout.root)}"
                )

    def _repair_log(self, basis: Salvage) -> None:
        if basis.lost:
            hot = [self._layout.hot_segment(n) for n in numbers(self._layout.hot, "log")]
            self._aside.keep(*hot)
            basis.adopt(self._layout)
            gaps = counted(len(basis.lost), "gap")
            self._could_not(f"{gaps} in the lookup log: the changes in it are lost")
            for path in basis.restored:
                self._text.say(f"    made again: {path}")
        identity_ = read_identity(self._layout)
        log.begin_anew(self._host, self._layout, self._aside, identity_.id, basis.index)
        self._did("lookups: the log begins anew with a checkpoint of all that is known")

    # Committing

    def _open(self) -> None:
        """Open the store, which recovers it, and carry out what was prepared."""
        store = Store.open(self._layout.root, host=self._host)
        try:
            if self._found.kinds & {Kind.LOG_TAIL} and store.recovered.cut:
                self._did(f"cut off what was never durable: {store.recovered.cut}")
            if self._steps:
                commit(store, self._aside, self._steps)
        finally:
            store.close()

    def _daemon_commits(self, daemon: Committer) -> None:
        if self._found.kinds & _INDEX and self._found.kinds & _LOG:
            self._could_not(
                "index.sqlite and the lookup log while they are in use: unmount the store, and"
                " repair again"
            )
        elif self._found.kinds & _INDEX:
            daemon.make_index_anew(self._aside.name)
            self._did("index.sqlite: was made anew from the log, and is in use")
        elif self._found.kinds & _LOG:
            daemon.begin_log_anew(self._aside.name, self._found.logs)
            self._did("lookups: a checkpoint takes the place of what is damaged")
        if self._steps:
            daemon.commit(self._aside.name, self._steps)

    def _clear_drafts(self, directories: str) -> None:
        """Remove drafts that were not used, and directories in which nothing is kept."""
        links = filter(os.path.islink, (self._layout.damaged, *glob(directories)))
        for link in links:
            raise NotAStoreError(f"{link} is a symbolic link: move it away")
        for directory in glob(directories):
            for draft in glob(escape(directory) + "/*.tmp"):
                self._host.unlink(draft, "repair.unlink-draft")
            with contextlib.suppress(OSError):  # something is kept in it
                os.rmdir(directory)
        with contextlib.suppress(OSError):
            os.rmdir(self._layout.damaged)

    def _conclude(self) -> int:
        """Check again if anything was done, and say what is left."""
        if not self._done and not self._steps and not self._text.errors and not self._loss:
            self._report(self._text.summary())
            return CLEAN
        left = TextReport(self._report)
        self._text.say("after the repair:")
        check_store(self._layout, left.tell, lambda line: None)
        self._report(left.summary())
        if left.errors or self._loss:
            return ERRORS_LEFT
        return REPAIRED if self._done else CLEAN
