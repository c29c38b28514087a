"""``djafs.json`` made again from what its remains, the log and the index say."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from datetime import timezone
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from djafs.disk.host import Host
from djafs.disk.index import Index
from djafs.disk.layout import Layout
from djafs.disk.sqlite import Error
from djafs.errors import IndexDamageError, NotAStoreError, UsageError
from djafs.model import Calendar
from djafs.store.aside import Aside, write_durably
from djafs.store.identity import FORMAT, Identity, read_identity, zone_of
from djafs.tools.validation.log_lines import store_of

_SAMPLES = "SELECT begin, day FROM version LIMIT 10000"


def is_sound(layout: Layout) -> bool:
    """Return whether the identity can be read and names a time zone (raises NewerFormatError)."""
    try:
        read_identity(layout).zone()
    except (NotAStoreError, UsageError):
        return False
    return True


def make_again(host: Host, layout: Layout, aside: Aside) -> str:
    """Write the identity again, and say how sure its time zone is.

    Raises LookupLogDamageError when no segment of the log says whose it is, OSError.
    """
    remains = _remains(layout)
    zone, why = _zone(layout, remains)
    parity = re.search(r'"parity"\s*:\s*(\d{1,3})', remains)
    created = re.search(r'"created"\s*:\s*(\d{19})', remains)
    fields = {
        "format": FORMAT,
        "id": store_of(layout),
        "time_zone": zone,
        "created": int(created[1]) if created else _first_time(layout),
    }
    if parity and 0 < int(parity[1]) <= 100:
        fields["parity"] = int(parity[1])
    identity = msgspec.convert(fields, Identity)
    text = json.dumps(msgspec.to_builtins(identity), indent=2).encode() + b"\n"
    draft = layout.identity + ".tmp"
    write_durably(host, draft, text)
    aside.replace(draft, layout.identity)
    return f"djafs.json: made again, with time zone {zone} ({why})"


def _remains(layout: Layout) -> str:
    with suppress(OSError), open(layout.identity, "rb") as file:
        return file.read(1 << 20).decode("utf-8", "replace")
    return ""


def _first_time(layout: Layout) -> int:
    with suppress(OSError):
        return min(os.stat(path).st_mtime_ns for path in (layout.root, layout.lock))
    return time.time_ns()


def _zone(layout: Layout, remains: str) -> tuple[str, str]:
    """Return a time zone, and how it was found."""
    stated = re.search(r'"time_zone"\s*:\s*"([^"\\]+)"', remains)
    if stated:
        with suppress(UsageError):
            zone_of(stated[1])
            return stated[1], "as it said"
    samples: list[tuple[int, int]] = []
    with suppress(IndexDamageError, Error):
        index = Index.open_read_only(layout)
        samples = index.connection.execute(_SAMPLES).fetchall()
        index.close()
    if not samples:
        return "UTC", "nothing tells which it was: if it was another, edit the file now"
    for name in ["UTC", *sorted(available_timezones(), key=lambda name: ("/" not in name, name))]:
        zone = timezone.utc if name == "UTC" else ZoneInfo(name)
        calendar = Calendar(zone)
        if all(calendar.day_of(begin) == day for begin, day in samples):
            return name, "it fits all days of the index"
    return "UTC", "no zone fits all days of the index"
