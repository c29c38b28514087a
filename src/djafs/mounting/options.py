"""What a mount was asked to be: the options of ``djafs mount``, checked and made absolute."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_GC_INTERVAL: float = 30
"""Seconds between two looks for content to pack."""

DEFAULT_HOT_CACHE_SIZE = 64 << 20
"""Bytes of hot content above which packing starts without waiting for the interval."""

DEFAULT_SETTLE: float = 10
"""Seconds without a change after which content has come to rest and may be packed."""

DEFAULT_LEVEL = 9
"""zstd level of archives (docs/formats/archive.md has the measurement behind it)."""

KERNEL_FLAGS = ("dev", "nodev", "suid", "nosuid", "exec", "noexec")
"""What mount(8) can forbid or permit of every file; ``nodev,nosuid,exec`` unless asked."""


@dataclass(frozen=True)
class MountOptions:
    """Everything the daemon is told when it starts. Paths are absolute and free of symlinks."""

    storage: str
    """The store's directory; it need not exist yet."""

    mountpoint: str
    """The directory on which the filesystem appears."""

    gc_interval: float = DEFAULT_GC_INTERVAL
    """Seconds between two packings; above 0."""

    hot_cache_size: int = DEFAULT_HOT_CACHE_SIZE
    """Bytes of hot content that start a packing before the interval is over."""

    settle: float = DEFAULT_SETTLE
    """Seconds for which content must be unchanged before it is packed; 0 and up."""

    level: int = DEFAULT_LEVEL
    """zstd compression level of archives, 1 to 19."""

    allow_other: bool = False
    """Whether users other than the one who mounts may enter; the kernel checks permissions."""

    log_file: str | None = None
    """File for the daemon's messages instead of syslog."""

    time_zone: str | None = None
    """IANA name of the zone whose midnights end a day; only for a store that is new."""

    kernel_flags: tuple[str, ...] = ()
    """Of :data:`KERNEL_FLAGS`, those that differ from what ``fusermount3`` does by itself."""

    durable_close: bool = False
    """Whether close(2) makes durable what was written, as fsync(2) does."""

    parity: int | None = None
    """Percentage of recovery data for archives, 0 for none; None as the store has it."""

    foreground: bool = False
    """Whether messages also go to the daemon's own stderr."""

    def arguments(self) -> list[str]:
        """Return the arguments that make ``djafs mount`` serve these options in the foreground."""
        arguments = [
            f"--gc-interval={self.gc_interval!r}",
            f"--hot-cache-size={self.hot_cache_size}",
            f"--settle={self.settle!r}",
            f"--compression-level={self.level}",
            "--allow-other" if self.allow_other else "--no-allow-other",
        ]
        if self.log_file is not None:
            arguments.append(f"--log-file={self.log_file}")
        if self.time_zone is not None:
            arguments.append(f"--time-zone={self.time_zone}")
        if self.kernel_flags:
            arguments.append(f"-o{','.join(self.kernel_flags)}")
        if self.durable_close:
            arguments.append("--durable=close")
        if self.parity is not None:
            arguments.append(f"--parity={self.parity or 'off'}")
        return [*arguments, "--foreground", "--", self.storage, self.mountpoint]
