"""Eight writers and eight readers at once: replacing, renaming, deleting, while packing goes on."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

from rig.mount import Mount

TURNS = int(os.environ.get("DJAFS_MANY_TURNS", "80"))
"""Changes that each writer makes."""

WRITERS = READERS = 8
DIRECTORIES = 4
DOCUMENTS = 12


def document(writer: int, turn: int, dice: random.Random) -> bytes:
    """Return a document that says itself whether it is whole."""
    body = json.dumps({"writer": writer, "turn": turn, "filler": "x" * dice.randrange(20_000)})
    return b"%08x%s" % (zlib.crc32(body.encode()), body.encode())


def is_whole(content: bytes) -> bool:
    return len(content) > 8 and content[:8] == b"%08x" % zlib.crc32(content[8:])


def write(live: Path, writer: int) -> dict[str, int]:
    """Change documents of one's own; return the turn that each shows in the end."""
    dice = random.Random(writer)
    shown: dict[str, int] = {}
    for turn in range(TURNS):
        place = f"{dice.randrange(DIRECTORIES)}/{writer}-{dice.randrange(DOCUMENTS)}.json"
        action = dice.random()
        if action < 0.6 or not shown:
            draft = live / f"{writer}.draft"
            draft.write_bytes(document(writer, turn, dice))
            os.rename(draft, live / place)
            shown[place] = turn
        elif action < 0.75:
            gone = dice.choice(sorted(shown))
            os.unlink(live / gone)
            del shown[gone]
        elif action < 0.9:
            source = dice.choice(sorted(shown))
            os.rename(live / source, live / place)
            shown[place] = shown.pop(source)
        else:
            source = dice.choice(sorted(shown))
            content = (live / source).read_bytes()
            assert is_whole(content)
            with open(live / source, "r+b") as file:
                file.write(content[:8])  # in place, and the same
    return shown


def read(live: Path, reader: int) -> None:
    """Read whatever is there; each must be whole or gone."""
    dice = random.Random(-1 - reader)
    for _ in range(TURNS * 2):
        directory = live / f"{dice.randrange(DIRECTORIES)}"
        names = os.listdir(directory)
        assert len(names) == len(set(names))
        for name in dice.sample(names, min(3, len(names))):
            try:
                content = (directory / name).read_bytes()
            except FileNotFoundError:
                continue
            assert is_whole(content), f"{name} is torn"


def started(function: Callable[[], object]) -> tuple[int, int]:
    """Return a child that runs ``function``, and where it says what that returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open(writing, "w") as pipe:
                json.dump(function(), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    return child, reading


def test_many_at_once(mount_store: Callable[..., Mount]):
    mounted = mount_store("--gc-interval=1", "--settle=0")
    live = mounted.live
    for number in range(DIRECTORIES):
        (live / f"{number}").mkdir()
    writers = [started(lambda n=n: write(live, n)) for n in range(WRITERS)]
    readers = [started(lambda n=n: read(live, n)) for n in range(READERS)]
    expected: dict[str, tuple[int, int]] = {}
    for writer, (_, pipe) in enumerate(writers):
        with open(pipe) as said:
            expected |= {place: (writer, turn) for place, turn in json.load(said).items()}
    for child, _ in [*writers, *readers]:
        assert os.waitpid(child, 0)[1] == 0
    for _, pipe in readers:
        os.close(pipe)
    for check in (mounted.gc, mounted.remount, lambda: None):
        check()
        found = {}
        for path in live.glob("*/*.json"):
            content = path.read_bytes()
            assert is_whole(content)
            told = json.loads(content[8:])
            found[os.path.relpath(path, live)] = (told["writer"], told["turn"])
        assert found == expected
