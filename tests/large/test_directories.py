"""Directories of 100,000 entries (``make large``; of fewer in ``make test``)."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rig.amount import large
from rig.mount import Mount
from rig.syscalls import Listing

ENTRIES = large(1000, 100_000)

pytestmark = pytest.mark.timeout(large(120, 3600))


def fill(directory: Path, content: bytes = b"") -> None:
    """Make that many files."""
    directory.mkdir()
    for number in range(ENTRIES):
        descriptor = os.open(directory / f"{number:06}", os.O_CREAT | os.O_WRONLY)
        if content:
            os.write(descriptor, content + b"%d" % number)
        os.close(descriptor)


def stored(mount: Mount, directory: str) -> int:
    """Return how many bytes a directory of the store holds."""
    return sum(path.stat().st_size for path in (mount.storage / directory).iterdir())


def test_removing_everything(mounted: Mount, say: Callable[[str], None]):
    directory = mounted.live / "d"
    fill(directory)
    mounted.remount()  # listed and removed without anything in memory
    began = time.monotonic()
    subprocess.run(["rm", "-rf", directory], check=True)
    say(f"rm -rf of {ENTRIES:,} entries took {time.monotonic() - began:.1f} s")
    assert os.listdir(mounted.live) == []
    assert os.stat(mounted.live).st_nlink == 2


def test_listing_while_entries_come_and_go(mounted: Mount, say: Callable[[str], None]):
    """What stays all the while is listed once, whatever else happens."""
    directory = mounted.live / "d"
    fill(directory)
    names = [f"{number:06}" for number in range(ENTRIES)]
    removed, renamed = names[0:-1:3], names[1::3]
    stay = set(names) - set(removed) - set(renamed)
    changes = zip(reversed(removed), reversed(renamed), strict=True)
    listing = Listing(os.fspath(directory))
    listed: list[str] = []
    while (name := listing.read()) is not None:
        listed.append(name)
        for old, other in itertools.islice(changes, 1):
            os.unlink(directory / old)
            os.rename(directory / other, directory / f"renamed-{other}")
            (directory / f"new-{old}").touch()
    listing.close()
    assert stay <= set(listed)
    assert len([name for name in listed if name in stay]) == len(stay)
    after = {f"new-{name}" for name in removed} | {f"renamed-{name}" for name in renamed}
    assert set(os.listdir(directory)) == stay | after
    say(f"{ENTRIES:,} entries were listed while {2 * len(removed):,} of them changed")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to chown")
def test_chown_of_everything_that_is_archived(mounted: Mount, say: Callable[[str], None]):
    """Costs lines of the lookup log, and no content."""
    directory = mounted.live / "d"
    fill(directory, b"content of file ")
    mounted.gc()
    assert stored(mounted, "hot") == 0
    before = {part: stored(mounted, part) for part in ("hot", "lookups", "archives")}
    began = time.monotonic()
    subprocess.run(["chown", "-R", "65534:65533", directory], check=True)
    seconds = time.monotonic() - began
    packed = mounted.gc()
    growth = {part: stored(mounted, part) - size for part, size in before.items()}
    assert packed["files"] == 0
    assert growth["hot"] == growth["archives"] == 0
    assert growth["lookups"] < 250 * ENTRIES
    mounted.remount()
    for number in (0, ENTRIES // 2, ENTRIES - 1):
        path = directory / f"{number:06}"
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)
        assert path.read_bytes() == b"content of file %d" % number
    say(
        f"chown -R over {ENTRIES:,} archived files took {seconds:.1f} s: hot log +0 bytes,"
        f" archives +0 bytes, lookup log +{growth['lookups']:,} bytes"
    )
