"""What every day must look like: the rules of effective time, written down a second time.

Slow and plain on purpose, and made from the description of the rules, not from the code of the
store: everything that ever happened is kept, and a day is worked out from all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import NamedTuple

MINUTE = 60 * 10**9
ROOT = 2
NEVER = -(1 << 62)


class Shown(NamedTuple):
    """What a snapshot shows under a path."""

    kind: str  # "file", "directory" or "symlink"
    mode: int
    uid: int
    mtime: int
    content: bytes
    xattrs: dict[bytes, bytes]


@dataclass
class Version:
    """A state of an inode, and what says when it began."""

    number: int
    last: int
    content: bool
    floor: int
    shown: Shown
    explicit: bool = False
    begin: int | None = None  # once closed

    def effective(self) -> int:
        if self.begin is not None:
            return self.begin
        if self.content and self.floor < self.shown.mtime <= self.last:
            return self.shown.mtime
        return max(self.last, self.floor + 1)


@dataclass
class Binding:
    """A name that stood for an inode."""

    ino: int
    version: int | None  # with which it began
    begin: int  # otherwise
    first_day: int | None = None  # once it has ended or was replaced
    end: int | None = None  # day on which it was removed


class Reference:
    """A filesystem that remembers everything."""

    def __init__(self, zone: tzinfo, t: int) -> None:
        self.zone = zone
        self.versions: dict[int, list[Version]] = {}
        self.names: dict[int, dict[bytes, list[Binding]]] = {}  # of each directory, all there were
        self.live: dict[int, dict[bytes, int]] = {}
        self.closed = 0  # what was at rest by then stays closed
        self._gone: dict[tuple[int, bytes], tuple[Binding, int, bool]] = {}
        self._new(ROOT, "directory", 0o755, t)

    def _new(self, ino: int, kind: str, mode: int, t: int, content: bytes = b"") -> None:
        shown = Shown(kind, mode, 0, t, content, {})
        self.versions[ino] = [Version(1, t, True, NEVER, shown)]
        if kind == "directory":
            self.names[ino] = {}
            self.live[ino] = {}

    def kind(self, ino: int) -> str:
        return self.versions[ino][-1].shown.kind

    def day(self, t: int) -> int:
        return datetime.fromtimestamp(t // 10**9, self.zone).date().toordinal()

    # What happens

    def _is_open(self, ino: int, t: int) -> bool:
        last = self.versions[ino][-1].last
        return max(t, self.closed) - last <= MINUTE and self.day(t) == self.day(last)

    def _touch(self, ino: int, t: int, content: bool) -> Version:
        """Return the version that a change at ``t`` belongs to."""
        version = self.versions[ino][-1]
        if not self._is_open(ino, t) or (content and version.explicit):
            version.begin = version.effective()
            version = Version(version.number + 1, t, content, version.begin, version.shown)
            self.versions[ino].append(version)
        if content:
            version.content, version.explicit = True, False
            version.shown = version.shown._replace(mtime=t)
        version.last = t
        return version

    def create(
        self, ino: int, parent: int, name: bytes, kind: str, mode: int, t: int, content: bytes
    ) -> None:
        self._touch(parent, t, True)
        self._new(ino, kind, mode, t, content)
        self._bind(parent, name, ino, t)

    def write(self, ino: int, content: bytes, t: int) -> None:
        version = self._touch(ino, t, True)
        version.shown = version.shown._replace(content=content)

    def utimens(self, ino: int, mtime: int, t: int) -> None:
        version = self._touch(ino, t, False)
        version.shown = version.shown._replace(mtime=mtime)
        version.explicit = mtime != t

    def set_mode(self, ino: int, mode: int, uid: int, t: int) -> None:
        version = self._touch(ino, t, False)
        version.shown = version.shown._replace(mode=mode, uid=uid)

    def set_xattr(self, ino: int, value: bytes, t: int) -> None:
        version = self._touch(ino, t, False)
        version.shown = version.shown._replace(xattrs={b"user.x": value})

    def link(self, ino: int, parent: int, name: bytes, t: int) -> None:
        self._touch(parent, t, True)
        self._touch(ino, t, False)
        self._bind(parent, name, ino, t)

    def unlink(self, parent: int, name: bytes, t: int) -> None:
        ino = self._remove(parent, name, t)
        if ino in self.names or self.day(self.versions[ino][-1].effective()) >= self.day(t):
            self._gone.pop((parent, name), None)
        self._touch(parent, t, True)
        self._lose(ino, t)

    def _restore(self, parent: int, name: bytes, t: int) -> int:
        """Take a name that was removed a moment ago as replaced; return when it had begun."""
        binding, gone, reopens = self._gone.pop((parent, name), (None, 0, False))
        if binding is None or t - gone > MINUTE or self.day(t) != self.day(gone):
            return NEVER
        bindings = self.names[parent][name]
        if reopens:
            bindings[-1].end = None
        self._settle(binding, bindings)
        bindings.append(binding)
        return self._begin(binding)

    def rename(self, parent: int, name: bytes, heir: int, target: bytes, t: int) -> None:
        ino = self._remove(parent, name, t)
        self._gone.pop((parent, name), None)
        was_open = self._is_open(ino, t)
        self._touch(parent, t, True)
        self._touch(heir, t, True)
        version = self._touch(ino, t, False)
        other = self.live[heir].get(target)
        if other is not None:
            floor = max(self._replace(heir, target), self.versions[other][-1].effective())
            if was_open:
                version.floor = max(version.floor, floor)
            self._lose(other, t)
        self._bind(heir, target, ino, t)

    def exchange(self, parent: int, name: bytes, heir: int, target: bytes, t: int) -> None:
        one, other = self.live[parent][name], self.live[heir][target]
        self._touch(parent, t, True)
        self._touch(heir, t, True)
        before, after = self._replace(parent, name), self._replace(heir, target)
        self._touch(one, t, False)
        self._touch(other, t, False)
        self._bind(heir, target, one, t, after)
        self._bind(parent, name, other, t, before)

    def _lose(self, ino: int, t: int) -> None:
        """Note that an inode has one name less; if it has others, its link count changed."""
        if self.kind(ino) != "directory" and any(
            ino in names.values() for names in self.live.values()
        ):
            self._touch(ino, t, False)

    def _bind(self, parent: int, name: bytes, ino: int, t: int, after: int = NEVER) -> None:
        version = self.versions[ino][-1]
        replaced = self._restore(parent, name, t)
        if version.content:
            version.floor = max(version.floor, replaced)
        begin = max(t, version.floor + 1)
        made = version.number if version.content and version.effective() > after else None
        self.names[parent].setdefault(name, []).append(Binding(ino, made, begin))
        self.live[parent][name] = ino

    def _remove(self, parent: int, name: bytes, t: int) -> int:
        """End a binding; return what it was bound to."""
        self._gone.pop((parent, name), None)
        ino = self.live[parent].pop(name)
        bindings = self.names[parent][name]
        binding = bindings.pop()
        day = self.day(t)
        newborn = binding.version == self.versions[ino][-1].number and self._is_open(ino, t)
        if newborn:
            self._gone[parent, name] = (binding, t, bool(bindings) and bindings[-1].end is None)
            if bindings and bindings[-1].end is None:  # what it had replaced was shown until now
                bindings[-1].end = max(day, bindings[-1].first_day or 0)
        else:
            self._settle(binding, bindings)
            binding.end = max(day, binding.first_day or 0)
            bindings.append(binding)
        return ino

    def _replace(self, parent: int, name: bytes) -> int:
        """End a binding because another takes its place; return when it had begun."""
        bindings = self.names[parent][name]
        binding = bindings[-1]
        del self.live[parent][name]
        self._settle(binding, bindings[:-1])
        return self._begin(binding)

    def _settle(self, binding: Binding, before: list[Binding]) -> None:
        """Decide when a binding began that is over now, and when the one before it ended."""
        free = self._free(before)
        binding.first_day = max(self.day(self._begin(binding)), free)
        if before and before[-1].end is None:
            before[-1].end = binding.first_day

    # What a day shows

    def _begin(self, binding: Binding) -> int:
        if binding.version is None:
            return binding.begin
        return self.versions[binding.ino][binding.version - 1].effective()

    def _first_day(self, binding: Binding, before: list[Binding]) -> int:
        """Return the day on which a binding began: never before the one before it ended."""
        day = binding.first_day
        if day is None:
            day = self.day(self._begin(binding))
        if binding.ino in self.names and binding.version == 1:
            day = min(day, self.since(binding.ino))
        return max(day, self._free(before))

    def _free(self, before: list[Binding]) -> int:
        """Return the first day on which a name can be given to another after ``before``."""
        return max((self._end(before, place) for place in range(len(before))), default=0)

    def _end(self, bindings: list[Binding], place: int) -> int:
        """Return the first day on which another binding can take the place of one that is over.

        What no day's end saw does not count.
        """
        binding = bindings[place]
        if binding.end is None:
            return binding.first_day or 0
        return binding.end if self._first_day(binding, bindings[:place]) < binding.end else 0

    def since(self, directory: int) -> int:
        """Return the first day on which something in a directory needs it."""
        states = [v for v in self.versions[directory] if v.shown.mtime < v.last]
        days = [self.day(v.shown.mtime) for v in states]
        for bindings in self.names[directory].values():
            for place, binding in enumerate(bindings):
                day = self._first_day(binding, bindings[:place])
                if binding.end is None or day < binding.end:
                    days.append(day)
        return min(days, default=1 << 30)

    def shown(self, day: int) -> dict[bytes, Shown]:
        """Return everything that the snapshot of ``day`` must show, by path."""
        found: dict[bytes, Shown] = {}
        self._show(ROOT, b"", day, found)
        return found

    def _show(self, directory: int, prefix: bytes, day: int, found: dict[bytes, Shown]) -> None:
        for name, bindings in self.names[directory].items():
            ino = self._bound(bindings, day)
            if ino is not None:
                found[prefix + name] = self.state(ino, day)
                if ino in self.names:
                    self._show(ino, prefix + name + b"/", day, found)

    def _bound(self, bindings: list[Binding], day: int) -> int | None:
        ino = None
        for place, binding in enumerate(bindings):
            before = bindings[:place]
            if self._first_day(binding, before) <= day:
                ended = binding.end is not None and binding.end <= day
                ino = None if ended else binding.ino
        return ino

    def state(self, ino: int, day: int) -> Shown:
        """Return an inode's state on a day; if it began later, that of its first day."""
        versions = self.versions[ino]
        day = max(day, self.day(versions[0].effective()))
        return [v for v in versions if self.day(v.effective()) <= day][-1].shown
