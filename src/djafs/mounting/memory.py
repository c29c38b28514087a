"""Keeping the daemon's memory small: what glibc's malloc would otherwise hold on to.

The daemon has a dozen threads, of which one at a time does much. malloc gives each an arena of its
own, and an arena keeps what was freed in it (mallopt(3), malloc_trim(3)). On other C libraries
nothing here has an effect.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
# Bytes from which a block is mapped by itself, and given back when freed. Inflated frames stay
# below it: to map 256 KiB costs 64 page faults, as much as to inflate them.
_LARGE = 320 << 10

_libc = ctypes.CDLL(None)


def share_memory() -> None:
    """Let all threads allocate from one arena, and map large blocks by themselves.

    Setting the threshold also keeps malloc from raising it. To be called before there are threads.
    """
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)
        _libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back() -> None:
    """Return to the kernel what is free."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
