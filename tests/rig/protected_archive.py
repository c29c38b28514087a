"""An archive with recovery data, to be damaged and repaired."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path

from djafs.disk import parity
from djafs.disk.layout import Layout

PERCENT = 10
SIZE = 300_001


class ProtectedArchive:
    """A store's directories with one archive in it; here any bytes do."""

    def __init__(
        self,
        root: Path,
        size: int = SIZE,
        percent: int = PERCENT,
        like: ProtectedArchive | None = None,
    ) -> None:
        self.layout = Layout(os.fspath(root))
        os.makedirs(self.layout.archives)
        self.archive = Path(self.layout.archive(17))
        self.data = Path(self.layout.archive_parity(17))
        self.into = root / "repaired"
        self.content = random.Random(size).randbytes(size)
        self.archive.write_bytes(self.content)
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        if like is None:
            parity.create(self.layout, 17, percent, self.sha256)
        else:
            shutil.copy(like.data, self.data)

    def check(self, *, whole: bool = True) -> list[str]:
        return parity.check(self.layout, 17, whole=whole)

    def repair(self, damaged: bytes | None) -> bool:
        """Repair the archive as ``damaged``; it must stay so, and nothing else be left."""
        if damaged is None:
            self.archive.unlink(missing_ok=True)
        else:
            self.archive.write_bytes(damaged)
        repaired = parity.repair(self.layout, 17, os.fspath(self.into), len(self.content))
        assert (self.archive.read_bytes() if self.archive.exists() else None) == damaged
        assert sorted(os.listdir(self.layout.root)) == ["archives", *["repaired"] * repaired]
        if repaired:
            assert self.into.read_bytes() == self.content
            assert self.into.stat().st_mode & 0o777 == 0o600
            self.into.unlink()
        return repaired
