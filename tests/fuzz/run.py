"""Fuzz one target with atheris: ``python tests/fuzz/run.py TARGET [SECONDS [OPTION...]]``.

OPTIONs are those of libFuzzer. What is found ends the run, and is left as ``crash-…`` in the
current directory: keep it in ``tests/fuzz/findings/TARGET``, where test_targets.py tries it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [os.fspath(HERE)]

with atheris.instrument_imports(include=["djafs"]):
    import targets

from seeds import seeds  # noqa: E402


def main(target: str, seconds: str = "60", *options: str) -> None:
    """Fuzz ``target``."""
    function = targets.TARGETS[target]
    with tempfile.TemporaryDirectory(prefix="djafs-corpus-") as corpus:
        for number, seed in enumerate(seeds()[target]):
            (Path(corpus) / str(number)).write_bytes(seed)
        limits = [
            f"-max_total_time={seconds}",
            "-max_len=20000",
            "-timeout=20",
            "-rss_limit_mb=2048",
        ]
        atheris.Setup([sys.argv[0], *limits, *options, corpus], function)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
