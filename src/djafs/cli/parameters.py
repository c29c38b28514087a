"""Option values that click does not know: callbacks that check and convert them."""

from __future__ import annotations

import os
import re

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def checked_size(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Turn an option's value with K, M, G or T (powers of 1024) into a number of bytes."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a size such as 512K, 256M or 1G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def checked_time_zone(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Return the IANA name of a time zone, once it is known to exist."""
    if value is None:
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415 (only where a zone is given)

    try:
        ZoneInfo(value)
    # ValueError: a name such as "../x"; OSError: one that is a directory of zones.
    except (KeyError, ValueError, OSError):
        message = f"{value!r} is not a time zone such as UTC or Europe/Berlin"
        raise click.BadParameter(message) from None
    return value


def checked_kernel_flags(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Split what ``-o`` was given at commas; of an option and its opposite the last one counts."""
    from djafs.mounting.options import KERNEL_FLAGS  # noqa: PLC0415 (mounting only)

    chosen: dict[str, str] = {}
    for flag in ",".join(values).split(",") if values else ():
        if flag not in KERNEL_FLAGS:
            raise click.BadParameter(f"{flag!r} is none of {', '.join(KERNEL_FLAGS)}")
        if flag in {"dev", "suid"} and os.geteuid() != 0:
            raise click.BadParameter(f"only root may mount with {flag!r}")
        chosen[flag.removeprefix("no")] = flag
    return tuple(chosen.values())


def checked_parity(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    """Turn a percentage from 1 to 100, or ``off``, into a number."""
    if value is None:
        return None
    if value == "off":
        return 0
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= 100:
        raise click.BadParameter(f"{value!r} is not a percentage from 1 to 100, or off")
    return int(value)


def human_size(size: int) -> str:
    """Write a number of bytes for people, in powers of 1024: ``1.5 MiB``."""
    if size < 1024:
        return f"{size} bytes"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
