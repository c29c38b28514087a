"""Recovery data for what was converted, where the store has parity (docs/parity.md)."""

from __future__ import annotations

from collections.abc import Callable

from djafs.packing.packer import Packer, PackingCancelledError
from djafs.store.parity_keeper import ParityKeeper
from djafs.store.store import Store
from djafs.tools.convert.summary import Summary


def protect(store: Store, summary: Summary, stop: Callable[[], bool]) -> None:
    """Make what archives of the store lack; what is missing when it stops is made another time."""
    keeper = ParityKeeper(store, Packer(store.layout, host=store.host))
    try:
        kept = keeper.keep(stop)
        summary.protected, summary.parity_bytes = kept.archives, kept.bytes
        if kept.failed:
            archives = "1 archive" if kept.failed == 1 else f"{kept.failed:,} archives"
            summary.fail(b"", f"{archives} got no recovery data: see djafs validate")
    except PackingCancelledError:
        summary.interrupted = True
    finally:
        keeper.close()
