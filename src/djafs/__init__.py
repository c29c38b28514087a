"""djafs: a filesystem for archives of JSON documents.

Where to start reading: :mod:`djafs.model` (the words), :mod:`djafs.extents` (where content lies),
:mod:`djafs.store` (what a store does), :mod:`djafs.disk` (how it lies on disk), :mod:`djafs.fuse`
(the kernel's protocol, independent of all the rest), :mod:`djafs.mounting` (where the two meet),
:mod:`djafs.cli` (the commands).
"""

from __future__ import annotations

__version__ = "0.1.0"
