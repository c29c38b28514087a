"""What holds for every stored list of extents (djafs.extents)."""

from __future__ import annotations

from djafs.extents import CHUNK, PART, Extent

_LARGEST = 1 << 48
"""No offset, number or length comes near this; SQLite and arithmetic stay in range below it."""


def extents_problem(extents: list[Extent]) -> str | None:
    """Say what is wrong with the extents of a part in themselves, None if nothing is."""
    end = 0
    for extent in extents:
        if max(extent[:6]) > _LARGEST or min(extent[:6]) < 0 or not extent.length:
            return "an extent has impossible numbers"
        if extent.offset < end:
            return "extents overlap"
        end = extent.offset + extent.length
        if end > PART:
            return "an extent goes beyond its part"
        if extent.segment and not _fits_its_run(extent):
            return "a hot extent lies outside of what was written"
    return None


def _fits_its_run(extent: Extent) -> bool:
    within = extent.base <= extent.at and (extent.at + extent.length <= extent.base + extent.span)
    return within and len(extent.crcs) == 4 * -(-extent.span // CHUNK)
