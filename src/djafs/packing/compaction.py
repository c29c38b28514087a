"""Which archives to merge or to write anew: planning only, no disk (docs/architecture.md).

The *weight* of an archive is how much of a full one it is, by what can still be reached in it: a
full one has ``most_bytes`` of content or ``most_members``. Two things make an archive due:

- Small ones are merged by size: archives whose weights are within a factor of ``fan`` form a
  class, and when a class has ``fan`` of them they become one of the next, the oldest first. So
  a content is written again at most once for each class, log(most_members) / log(fan) = 5 times
  when each archive has one document, once for archives of some thousand; and whatever the rate at
  which small archives come, less than ``fan`` of each class stay.
- One of which less than ``least`` can be reached is written anew without the rest: 1.5 bytes
  written for each byte that comes free, at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

Group = list[int]
"""Archives that become one, or none when nothing in them can be reached."""


class ArchiveUse(NamedTuple):
    """What an archive holds, and what of it is of use."""

    archive: int
    members: int  # in its tar
    known: int  # contents in it, as the log knows them
    size: int  # bytes of these
    live: int  # bytes of these that something refers to

    @property
    def share(self) -> float:
        """Return how much of the archive is of use, from 0 to 1."""
        if not self.known:
            return 0.0
        # Members that the log does not know count as large as the others.
        return self.live / max(self.size, 1) * min(1.0, self.known / max(self.members, 1))


@dataclass(frozen=True)
class Limits:
    """When archives are due, and how much is written at one go."""

    fan: int = 8
    least: float = 0.6
    most_members: int = 32768  # plan and result of a packing are kept in memory
    most_bytes: int = 256 << 20
    most_sources: int = 32  # a frame of each is kept in memory

    def weight(self, use: ArchiveUse) -> float:
        """Return how much of a full archive the useful part of one is."""
        members = use.known * use.live / max(use.size, 1)
        return max(members / self.most_members, use.live / self.most_bytes)


def plan(archives: Iterable[ArchiveUse], limits: Limits, *, force: bool = False) -> list[Group]:
    """Return what is due, the oldest first; with ``force`` whatever could be smaller or fewer."""
    wasteful: list[ArchiveUse] = []
    classes: dict[int, list[ArchiveUse]] = {}
    for use in sorted(archives):
        weight = limits.weight(use)
        if use.share < (1.0 if force else limits.least):
            wasteful.append(use)
        elif weight < 0.5:
            tier = 0 if force else math.ceil(-math.log(max(weight, 1e-9), limits.fan))
            classes.setdefault(tier, []).append(use)
    if force:  # all that is rewritten anyway is merged with what is small
        small = sorted([*wasteful, *classes.pop(0, [])])
        return [g for g in _groups(small, limits) if len(g) > 1 or g[0] in {w[0] for w in wasteful}]
    groups = list(_groups(wasteful, limits))
    for members in classes.values():
        if len(members) >= limits.fan:
            groups += [group for group in _groups(members, limits) if len(group) > 1]
    return groups


def _groups(archives: list[ArchiveUse], limits: Limits) -> Iterator[Group]:
    """Cut a list of archives into groups that give one archive each."""
    group: Group = []
    total = 0.0
    for use in archives:
        weight = limits.weight(use)
        if group and (total + weight > 1 or len(group) >= limits.most_sources):
            yield group
            group, total = [], 0.0
        group.append(use.archive)
        total += weight
    if group:
        yield group
