"""What a conversion is asked to do."""

from __future__ import annotations

import os
from dataclasses import dataclass

from djafs.packing.packer import default_threads


@dataclass(frozen=True)
class Options:
    """The options of ``djafs convert``."""

    source: str
    output: str
    prefix: bytes = b""  # below live/, without slashes at its ends
    checksum: bool = False
    delete: bool = False
    dry_run: bool = False
    level: int = 9
    threads: int | None = None
    one_file_system: bool = False
    exclude: tuple[str, ...] = ()
    time_zone: str | None = None  # of a new store; None: UTC
    parity: int | None = None  # percentage, 0 for none; None as the store has it

    @property
    def compressors(self) -> int:
        """Threads that compress."""
        return max(self.threads if self.threads is not None else default_threads(), 1)

    @property
    def beside(self) -> bool:
        """Whether another process reads and compresses, beside this one."""
        return self.compressors > 1

    @property
    def readers(self) -> int:
        """Threads that read ahead once the disk makes one wait."""
        return 4 * (self.threads if self.threads is not None else len(os.sched_getaffinity(0)))
