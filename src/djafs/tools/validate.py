"""``djafs validate``: check a store, mounted or not, and name what is affected.

The checks are in :mod:`djafs.tools.validation`; here is their order. docs/validate.md says what
they cover and what the findings mean.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from djafs.disk import sqlite
from djafs.disk.index import Index
from djafs.disk.layout import Layout, numbers
from djafs.disk.legacy_layout import is_legacy
from djafs.disk.lookup_segments import kept, segment_numbers
from djafs.errors import IndexDamageError, LookupLogDamageError, NotAStoreError, UsageError
from djafs.model import Calendar
from djafs.store.identity import FORMAT, Identity, read_identity
from djafs.tools.legacy.validation import validate as validate_legacy
from djafs.tools.validation.archives import ArchiveCheck
from djafs.tools.validation.compare import Comparison
from djafs.tools.validation.damage import Suspect
from djafs.tools.validation.findings import Finding, Kind, Meter, Progress, Tell, unmeasured
from djafs.tools.validation.hot import HotCheck
from djafs.tools.validation.json_report import JsonReport
from djafs.tools.validation.leftovers import leftovers
from djafs.tools.validation.log_check import Follow, LogCheck
from djafs.tools.validation.log_lines import store_of
from djafs.tools.validation.namespace import NamespaceCheck
from djafs.tools.validation.rebuild import Rebuild
from djafs.tools.validation.recovery_data import ParityCheck
from djafs.tools.validation.references import References
from djafs.tools.validation.scans import Scans
from djafs.tools.validation.text import TextReport, counted, sized
from djafs.tools.validation.workspace import (
    Workspace,
    WorkspaceError,
    index_problems,
)

CLEAN = 0
ERRORS_LEFT = 4

_PATIENCE = 3.0
"""Seconds in which a running daemon removes an archive that it has dropped."""

_POLL = 0.1

_COLLECT = 100_000
"""Objects after which Python looks for cycles."""


def validate(
    path: str,
    *,
    verbose: bool,
    report: Callable[[str], None],
    as_json: bool = False,
    meter: Meter = unmeasured,
) -> int:
    """Check the store at ``path`` (absolute) and return an exit status of fsck(8): 0 or 4.

    ``report`` is called with each line of text: findings as they are made, what was checked if
    ``verbose``, and the number of errors at the end; or, with ``as_json``, once with one object
    that has all of it. ``meter`` is told how far it is. Raises NotAStoreError, NewerFormatError,
    WorkspaceError and OSError if the check cannot run.
    """
    if is_legacy(path):
        return _validate_legacy(path, verbose, report, as_json)
    with _collecting_seldom():
        if as_json:
            found = JsonReport(path)
            check_store(Layout(path), found.tell, found.say, meter=meter)
            report(found.text())
            return ERRORS_LEFT if found.errors else CLEAN
        text = TextReport(report)
        check_store(Layout(path), text.tell, text.say if verbose else _silent, meter=meter)
        report(text.summary())
        return ERRORS_LEFT if text.errors else CLEAN


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Have Python look for cycles less often: there are few, among very many values."""
    usual = gc.get_threshold()
    gc.set_threshold(_COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _validate_legacy(path: str, verbose: bool, report: Callable[[str], None], as_json: bool) -> int:
    if not as_json:
        return validate_legacy(path, verbose=verbose, report=report)
    lines: list[str] = []
    status = validate_legacy(path, verbose=True, report=lines.append)
    report(json.dumps({"store": path, "legacy": True, "clean": status == CLEAN, "lines": lines}))
    return status


def check_store(
    layout: Layout,
    tell: Tell,
    say: Progress,
    *,
    held: bool = False,
    follow: Follow = Rebuild,
    then: Callable[[Check], None] | None = None,
    meter: Meter = unmeasured,
) -> None:
    """Check a store; every problem goes to ``tell``, what was checked to ``say``.

    For a repair: ``held`` says that the caller has the store's lock, ``follow`` makes what follows
    the log, and ``then`` is called with what was found. Raises as :func:`validate` does.
    """
    identity = _identity(layout, tell)
    with Workspace(layout, held=held) as workspace:
        try:
            check = Check(layout, identity, workspace, tell, say, follow, meter)
            with kept(layout):
                check.run()
            if then is not None:
                then(check)
        except sqlite.Error as error:
            if "full" not in str(error) and "disk" not in str(error):
                raise
            raise WorkspaceError(
                f"the check needs room in {workspace.directory} ({error}): set TMPDIR to a "
                "directory with room for twice the index"
            ) from error


def _silent(line: str) -> None:
    pass


def _identity(layout: Layout, tell: Tell) -> Identity:
    """Return the identity of the store, made up from the log if djafs.json is damaged."""
    try:
        identity = read_identity(layout)
        try:
            identity.zone()
        except UsageError as error:
            tell(Finding(Kind.IDENTITY, "djafs.json", str(error)))
            return Identity(identity.format, identity.id, "", identity.created)
        return identity
    except NotAStoreError as error:
        try:
            store = store_of(layout)
        except LookupLogDamageError:
            raise error from None
        tell(Finding(Kind.IDENTITY, "djafs.json", str(error)))
        return Identity(FORMAT, store, "", 0)


class Check:
    """One check of a store, step by step; then what it has found is here."""

    log: LogCheck
    archives: ArchiveCheck
    recovery_data: ParityCheck

    def __init__(
        self,
        layout: Layout,
        identity: Identity,
        workspace: Workspace,
        tell: Tell,
        say: Progress,
        follow: Follow = Rebuild,
        meter: Meter = unmeasured,
    ) -> None:
        self._meter = meter
        self._layout = layout
        self._identity = identity
        self._follow = follow
        self.workspace = workspace
        self._tell = tell
        self._say = say
        # Without a time zone days cannot be told, and the indexes not be compared.
        self.calendar = Calendar(identity.zone()) if identity.time_zone else Calendar()
        self.suspects: list[Suspect] = []

    def run(self) -> None:
        """Check everything."""
        state = "mounted" if self.workspace.is_mounted else "not mounted"
        self._say(f"store {self._identity.id or '(unknown)'}, {state}")
        with closing(Scans(self._layout, self.workspace.path("scans"))) as scans:
            stored = self._copy_index()
            log = self.log = self._check_log(stored)
            self._check_namespace(log)
            archives = self.archives = self._check_archives(log, scans)
        self._check_parity(archives)
        self._check_hot(log)
        self._check_references(log, archives)
        self._check_leftovers(log, archives)

    @contextmanager
    def _timed(self) -> Iterator[Callable[[str], None]]:
        """Give a function that says a line, followed by the seconds since the block began."""
        began = time.monotonic()
        yield lambda line: self._say(f"{line} ({time.monotonic() - began:.1f} s)")

    def _copy_index(self) -> Index | None:
        """Return a copy of the store's index if it is whole, and say so if it is not."""
        with self._timed() as say:
            try:
                index = self.workspace.copy_index()
                problems = index_problems(index)
            except IndexDamageError as error:
                self._tell_index(error)
                return None
            if problems:
                what = "it is damaged as a database"
                self._tell(Finding(Kind.INDEX_DAMAGED, "index.sqlite", what, (), problems))
                return None
            say(f"index: whole as a database, at record {index.position().seq:,} of the log")
            return index

    def _tell_index(self, error: IndexDamageError) -> None:
        what = str(error).removeprefix(f"{self._layout.index} ")
        kind = Kind.INDEX_DAMAGED
        if what == "is missing":
            kind, what = Kind.INDEX_MISSING, "it is missing"
        elif "schema" in what:
            kind = Kind.INDEX_OTHER_SCHEMA
        self._tell(Finding(kind, "index.sqlite", what))

    def _check_log(self, stored: Index | None) -> LogCheck:
        with self._timed() as say:
            log = LogCheck(
                self._layout,
                self._identity.id,
                self.calendar,
                self.workspace,
                stored,
                self._compare,
                self._tell,
                self._follow,
                self._meter,
            )
            log.run()
            segments = counted(len(segment_numbers(self._layout)), "segment")
            say(f"lookup log: {segments}, {counted(log.records, 'record')}")
            return log

    def _compare(self, stored: Index, made: Index) -> None:
        if not self._identity.time_zone:
            self._say("index: not compared with the log, for the time zone is unknown")
            return
        with self._timed() as say:
            comparison = Comparison(stored, made, self.calendar, self.workspace)
            for finding in comparison.run():
                self._tell(finding)
            self.suspects += comparison.suspects
            say(f"index: {counted(comparison.rows, 'row')} compared with the log")

    def _check_namespace(self, log: LogCheck) -> None:
        with self._timed() as say:
            check = NamespaceCheck(log.basis.index, self.calendar, self.workspace)
            for finding in check.run():
                self._tell(finding)
            say(f"live tree: {counted(check.inodes, 'inode')}")

    def _check_archives(self, log: LogCheck, scans: Scans) -> ArchiveCheck:
        with self._timed() as say:
            check = ArchiveCheck(
                log.basis.index, self._layout, self.workspace, scans.of, self._meter
            )
            self.suspects += check.run()
            number = counted(check.archives, "archive")
            contents = counted(check.contents, "content")
            say(f"archives: {number}, {contents}, {sized(check.bytes)}")
            return check

    def _check_parity(self, archives: ArchiveCheck) -> None:
        check = self.recovery_data = ParityCheck(self._layout, archives.known(), self.workspace)
        if not check.present and not self._identity.parity:
            return
        with self._timed() as say:
            broken = (Kind.ARCHIVE_DAMAGED, Kind.ARCHIVE_MISSING)
            self.suspects += check.run({s.archive for s in self.suspects if s.kind in broken})
            if self._identity.parity:
                check.find_lacking(mounted=self.workspace.is_mounted)
            for finding in check.missing():
                self._tell(finding)
            number = counted(len(check.present), "archive")
            say(f"recovery data: of {number}, {sized(check.bytes)}")

    def _check_hot(self, log: LogCheck) -> None:
        with self._timed() as say:
            check = HotCheck(log.basis.index, self._layout, self.workspace, self._meter)
            self.suspects += check.run()
            present = counted(len(numbers(self._layout.hot, "log")), "segment")
            say(f"hot cache: {present}, {check.segments} needed, {sized(check.bytes)} in use")

    def _check_references(self, log: LogCheck, archives: ArchiveCheck) -> None:
        """Find the files that are affected, and tell what is still needed."""
        with self._timed() as say:
            if self.suspects:
                # Packing or compaction may have moved what is missing, and logged that before.
                log.advance()
            references = References(log.basis.index, self.calendar, self.workspace, self.suspects)
            own = references.run()
            say(f"content of files: {counted(references.lists, 'list')} of extents")
        for suspect in [*self.suspects, *own]:
            if suspect.archive and not archives.is_known(suspect.archive):
                continue
            if (suspect.segment or suspect.lost) and not suspect.needed:
                continue
            self._tell(suspect.finding())

    def _check_leftovers(self, log: LogCheck, archives: ArchiveCheck) -> None:
        def is_known(archive: int) -> bool:
            return archives.is_known(archive) or (
                self.workspace.is_mounted and archive >= log.basis.next_archive
            )

        found = list(leftovers(self._layout, is_known))
        patience = time.monotonic() + _PATIENCE
        while found and time.monotonic() < patience:
            # A running daemon logs that an archive is dropped, syncs that, and then removes it.
            log.advance()
            found = list(leftovers(self._layout, is_known))
            if not found or not self.workspace.is_mounted:
                break
            time.sleep(_POLL)
        for finding in found:
            self._tell(finding)
