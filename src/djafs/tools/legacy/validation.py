"""Checking a store of the original djafs: whether each name leads to its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

from djafs.disk.legacy_layout import content_files, digest_in, zip_files
from djafs.tools.legacy.catalog import Catalog
from djafs.tools.legacy.contents import UNZIP_ERRORS, LegacyContents
from djafs.tools.legacy.survey import Survey

CLEAN = 0
ERRORS_LEFT = 4
STEP = 1 << 20

Report = Callable[[str], None]


def validate(path: str, *, verbose: bool, report: Report) -> int:
    """Check the legacy store at ``path``; return 0, or 4 if anything of it is lost.

    ``report`` is called with each line of text, the number of errors last.
    """
    errors = 0

    def tell(place: bytes, what: str) -> None:
        nonlocal errors
        errors += 1
        report(f"{os.fsdecode(place)}: {what}")

    catalog = Catalog()
    contents = LegacyContents(path, catalog.connection)
    try:
        survey = Survey(path, catalog, contents, tell)
        survey.run()
        names = _check_names(catalog, contents, tell)
        files = _check_files(path, catalog, tell, report if verbose else _silent)
        _check_zips(path, contents, tell)
        if verbose:
            report(f"{survey.tables:,} tables, {survey.entries:,} entries, {names:,} versions")
            report(f"{files:,} contents in work")
    finally:
        contents.close()
        catalog.close()
    report("a store of the original djafs: djafs convert -i STORE -o NEW_STORE brings it over")
    report(f"{errors:,} error{'' if errors == 1 else 's'}")
    return ERRORS_LEFT if errors else CLEAN


def _silent(line: str) -> None:
    pass


def _check_names(
    catalog: Catalog, contents: LegacyContents, tell: Callable[[bytes, str], None]
) -> int:
    count = 0
    for version in catalog.versions():
        count += 1
        digest = digest_in(version.target)
        if digest and contents.find(digest, version.target, version.zip, version.member) is None:
            tell(version.path, f"no file of the store holds its content, whole: {version.target}")
    return count


def _check_files(
    root: str, catalog: Catalog, tell: Callable[[bytes, str], None], say: Report
) -> int:
    """Check every content against its name; say which have no name in any table."""
    count = 0
    for digest, path in content_files(root):
        count += 1
        place = os.fsencode(os.path.relpath(path, root))
        sha = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                while chunk := file.read(STEP):
                    sha.update(chunk)
        except OSError as error:
            tell(place, f"cannot be read: {error.strerror}")
            continue
        if sha.hexdigest() != digest:
            tell(place, "its content is not what its name says")
        elif not catalog.is_used(digest):
            say(f"{os.fsdecode(place)}: no table has a name for it")
    return count


def _check_zips(root: str, contents: LegacyContents, tell: Callable[[bytes, str], None]) -> None:
    for path in zip_files(root):
        place = os.fsencode(os.path.relpath(path, root))
        archive = contents.zip(path)
        try:
            damaged = archive.testzip() if archive else None
        except UNZIP_ERRORS as error:
            tell(place, f"cannot be read: {error}")
            continue
        if archive is None:
            tell(place, "is no ZIP file")
        elif damaged is not None:
            tell(place, f"its member {damaged!r} is damaged")
