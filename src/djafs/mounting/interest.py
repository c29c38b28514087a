"""Who of those that list directories goes on to ask for the attributes of files.

The kernel asks for the beginning of each listing with attributes (READDIRPLUS), because it cannot
know. Those that list names alone, as find(1) does, pay for what they never look at; without
attributes, those that look at every file pay a LOOKUP for each. So each thread's own ways decide:
now and then it gets names alone, and goes on getting them until it asks for a file's attributes.
"""

from __future__ import annotations

MOST = 256
"""Threads that are known."""

LONGEST_PAUSE = 64
"""Listings with attributes after which it is tried again whether names are enough."""


class _Lister:
    __slots__ = ("asked", "bare", "left", "pause")

    def __init__(self) -> None:
        self.bare = False  # was given names alone
        self.asked = False  # has looked up a file since
        self.left = self.pause = 1  # listings until it is tried again; how many there were


class Interest:
    """Says who is to be given attributes, from what they did with the last listings."""

    def __init__(self) -> None:
        self._listers: dict[int, _Lister] = {}

    def wants_attributes(self, pid: int) -> bool:
        """Decide for the thread ``pid``, which begins to list a directory of files."""
        lister = self._listers.get(pid)
        if lister is None:
            if len(self._listers) >= MOST:
                self._listers.clear()
            self._listers[pid] = _Lister()
            return True
        if lister.bare and lister.asked:
            lister.bare = False
            lister.left = lister.pause = min(2 * lister.pause, LONGEST_PAUSE)
        elif not lister.bare:
            lister.left -= 1
            lister.bare = lister.left < 0
        lister.asked = False
        return not lister.bare

    def asked(self, pid: int) -> None:
        """Note that the thread ``pid`` has looked up a file."""
        lister = self._listers.get(pid)
        if lister is not None:
            lister.asked = True
