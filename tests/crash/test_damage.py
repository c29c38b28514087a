"""Damage anywhere in a store: never a wrong byte, and validate finds it."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from djafs.errors import DjafsError
from djafs.store.store import Store
from djafs.tools.validate import validate
from rig.amount import FULL, count
from rig.harm import NEEDLESS, PLACES, Harm, choose
from rig.looking import EIO, Seen, look, look_through, wrong
from rig.mount import Mount
from rig.rich_store import RichStore
from rig.waiting import wait_until

pytestmark = pytest.mark.leaves_damage

Recorder = Callable[[str, object], None]

TRIES = count(2, 20)
"""Damages of each kind to each place of a store."""


class Made(NamedTuple):
    """A store, and what it shows."""

    path: Path
    expected: Seen


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A store that was closed in good order."""
    store = RichStore(tmp_path_factory.mktemp("closed") / "store")
    store.live()
    expected = look(store.store)
    store.close()
    return Made(store.path, expected)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A store whose daemon was killed when all was durable and in the index."""
    place = tmp_path_factory.mktemp("killed")
    store = RichStore(place / "living")
    store.live()
    expected = look(store.store)
    shutil.copytree(store.path, place / "store")
    store.close()
    return Made(place / "store", expected)


def findings(path: Path) -> tuple[int, str]:
    """Validate a store: the exit status, and what is said."""
    lines: list[str] = []
    try:
        return validate(str(path), verbose=False, report=lines.append), "\n".join(lines)
    except DjafsError as error:
        return error.exit_status, str(error)


def assert_named(seen: Seen, said: str) -> None:
    """Assert that validate has named every live file that could not be read."""
    for path, shown in seen.items():
        if shown == EIO and path.startswith(b"live/"):
            assert path.decode(errors="backslashreplace") in said


def examine(made: Made, place: Path, kind: str, harm: Harm) -> str:
    """Damage a copy, validate and open it; return what came of it."""
    copy = place / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(made.path, copy)
    harm.do(copy)
    status, said = findings(copy)
    assert status in (0, 4, 8), said
    try:
        store = Store.open(str(copy))
    except DjafsError as error:
        assert "\n" not in str(error)
        assert str(copy) in str(error)
        assert status, f"{kind}: {harm}: refused ({error}), and validate finds nothing"
        return "refused"
    try:
        seen = look(store)
    finally:
        store.close()
    assert not wrong(seen, made.expected), f"{kind}: {harm}"
    if EIO in seen.values():
        assert status == 4, f"{kind}: {harm}: validate finds nothing"
        if kind not in ("index", "write-ahead log"):  # nothing is lost: the log has it all
            assert_named(seen, said)
        return "EIO"
    return "right"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", PLACES)
def test_no_damage_before_a_mount_serves_wrong_bytes(
    closed: Made, killed: Made, tmp_path: Path, kind: str, record_property: Recorder
):
    rng = random.Random(kind)
    seen = {"refused": 0, "EIO": 0, "right": 0}
    for how in ("flip", "cut", "remove"):
        for _ in range(1 if how == "remove" else TRIES):
            made = killed if kind == "write-ahead log" or rng.random() < 0.3 else closed
            harm = choose(made.path, kind, how, rng)
            if harm is not None:
                seen[examine(made, tmp_path, kind, harm)] += 1
    assert kind not in NEEDLESS or seen["right"] == sum(seen.values())
    record_property("damages", sum(seen.values()))
    record_property("damages met with EIO", seen["EIO"])
    record_property("damages that were refused", seen["refused"])


def test_a_name_that_changed_in_the_index_is_not_shown(closed: Made, tmp_path: Path):
    at = (closed.path / "index.sqlite").read_bytes().index(b"renamed.json")
    assert examine(closed, tmp_path, "index", Harm("index.sqlite", "flip", at)) == "EIO"


# While it is mounted

OPTIONS = ("--gc-interval=86400",)


def harm_mounted(made: Made, place: Path, kind: str, how: str, rng: random.Random) -> str:
    """Damage a mounted copy; all that it then shows is right or EIO, and the log names it."""
    copy = place / "store"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(made.path, copy)
    with Mount(copy, place / "mnt", OPTIONS) as mount:
        harm = choose(copy, kind, how, rng)
        if harm is None:
            return "nothing"
        harm.do(copy)
        seen = look_through(mount.mountpoint)
        assert not wrong(seen, made.expected), f"{kind}: {harm}"
        status, said = findings(copy)
        mount.unmount()
    if EIO not in seen.values():
        return "right"
    if kind == "index":
        # The daemon may have set it aside by then.
        assert status == 4 or "index.sqlite: it is missing" in said, f"{harm}: {said}"
        assert "djafs validate -r makes it anew" in mount.messages()
    else:
        assert status == 4, f"{kind}: {harm}: validate finds nothing"
        assert_named(seen, said)
        for path in (path for path, shown in seen.items() if shown == EIO):
            assert named(path) in mount.messages(), mount.messages()
    return "EIO"


def named(path: bytes) -> str:
    """Return a path as messages show it."""
    return path.decode(errors="backslashreplace")


@pytest.mark.parametrize(("kind", "how"), [("frame", "flip"), ("hot segment", "cut")])
def test_damage_to_a_mounted_store_is_met_with_eio_and_named(
    closed: Made, tmp_path: Path, kind: str, how: str
):
    assert harm_mounted(closed, tmp_path, kind, how, random.Random(1)) == "EIO"


@pytest.mark.skipif(not FULL, reason="takes minutes: in `make crash`")
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", PLACES)
def test_no_damage_to_a_mounted_store_serves_wrong_bytes(
    closed: Made, tmp_path: Path, kind: str, record_property: Recorder
):
    rng = random.Random(kind)
    done = 0
    for how in ("flip", "cut", "remove"):
        if (kind, how) == ("lock", "remove"):
            continue  # the rig looks at it in the end
        for _ in range(1 if how == "remove" else 4):
            harm_mounted(closed, tmp_path, kind, how, rng)
            done += 1
    record_property("damages while mounted", done)


@pytest.mark.parametrize("place", ["lookups/*.djfl", "hot/*.log"])
def test_a_log_that_is_removed_while_it_is_written_stops_changes(
    closed: Made, tmp_path: Path, place: str
):
    copy = tmp_path / "store"
    shutil.copytree(closed.path, copy)
    with Mount(copy, tmp_path / "mnt", OPTIONS) as mount:
        (mount.live / "new").write_bytes(b"content")
        max(copy.glob(place)).unlink()
        wait_until(lambda: "was removed while it was written" in mount.messages(), "the message")
        with pytest.raises(OSError) as raised:
            (mount.live / "newer").write_bytes(b"content")
        assert raised.value.errno == errno.EROFS
        assert (mount.live / "stays").exists()
