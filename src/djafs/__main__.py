"""``python -m djafs``: the same as the command ``djafs``."""

from __future__ import annotations

import sys

from djafs.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
