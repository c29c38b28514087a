"""What packing makes of extents: those of the hot log that were packed lie in a content then.

Conversion only; the tree and the index's history both go through here.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from djafs.extents import Extent, slice_extent


def relocate(
    extents: list[Extent], moved: list[tuple[int, int, int, int]], cid: int, cut: bool = False
) -> list[Extent]:
    """Return ``extents`` with every hot one that ``moved`` covers placed in content ``cid``.

    ``moved`` lists (offset in the content, segment, offset in the segment, length). One that it
    covers in part is cut first if ``cut`` is set, and else left alone. Neighbours that come to lie
    side by side are joined.
    """
    ranges = sorted((segment, at, length, offset) for offset, segment, at, length in moved)
    result: list[Extent] = []
    if cut:
        extents = [piece for extent in extents for piece in _cut(extent, ranges)]
    for extent in extents:
        fresh = extent
        if extent.segment:
            place = bisect_right(ranges, (extent.segment, extent.at, 1 << 62)) - 1
            if place >= 0:
                segment, at, length, offset = ranges[place]
                if segment == extent.segment and extent.at + extent.length <= at + length:
                    within = offset + extent.at - at
                    fresh = Extent(extent.offset, extent.length, 0, within, cid)
        if result and _joins(result[-1], fresh):
            fresh = result[-1]._replace(length=result[-1].length + fresh.length)
            result[-1] = fresh
        else:
            result.append(fresh)
    return result


def _cut(extent: Extent, ranges: list[tuple[int, int, int, int]]) -> list[Extent]:
    """Cut a hot extent where one of ``ranges`` (segment, at, length, …) begins or ends in it."""
    end = extent.offset + extent.length
    edges = {extent.offset, end}
    for segment, at, length, _ in ranges:
        if segment == extent.segment:
            begin = extent.offset + at - extent.at
            edges |= {edge for edge in (begin, begin + length) if extent.offset < edge < end}
    return [slice_extent(extent, *pair) for pair in pairwise(sorted(edges))]


def _joins(left: Extent, right: Extent) -> bool:
    return (
        left.segment == right.segment == 0
        and left.base == right.base
        and left.offset + left.length == right.offset
        and left.at + left.length == right.at
    )
