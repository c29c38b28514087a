"""The Linux FUSE protocol in Python, spoken directly to ``/dev/fuse``. Needs nothing else.

In reading order:

- :mod:`~djafs.fuse.handler`: what a filesystem has to write, one method per operation; the
  contract of each stands in :mod:`~djafs.fuse.node_operations`,
  :mod:`~djafs.fuse.name_operations` and :mod:`~djafs.fuse.content_operations`.
- :mod:`~djafs.fuse.values`: what these methods are given and return.
- :mod:`~djafs.fuse.device`: mounting (through fusermount3) and unmounting.
- :mod:`~djafs.fuse.server`: reads requests, calls the handler, writes replies.
- :mod:`~djafs.fuse.negotiation`: INIT, where both sides agree on what they can do.
- :mod:`~djafs.fuse.operations`: the table of which opcode calls which method.
- :mod:`~djafs.fuse.requests`, :mod:`~djafs.fuse.replies`, :mod:`~djafs.fuse.notifications`: bytes
  to arguments, results to bytes; pure functions.
- :mod:`~djafs.fuse.wire` and :mod:`~djafs.fuse.flags`: layouts, opcodes and bits as data.
- :mod:`~djafs.fuse.pool`, :mod:`~djafs.fuse.delays`, :mod:`~djafs.fuse.rounds`: the threads for
  answers that may block, are given later, or wait for the same thing.

A filesystem::

    class Empty(Handler):
        def getattr(self, request, handle):
            return AttributesReply(Attributes(1, 0, 0, 0, 0, 0, stat.S_IFDIR | 0o755, 2, 0, 0), 0)

    descriptor = mount("/mnt", ["fsname=empty", "default_permissions"])
    Server(descriptor, Empty()).serve()  # until `fusermount3 -u /mnt`
"""

from __future__ import annotations

from djafs.fuse import flags
from djafs.fuse.device import escape_option, mount, unmount
from djafs.fuse.errors import FuseError
from djafs.fuse.flags import InitFlag
from djafs.fuse.handler import Handler
from djafs.fuse.negotiation import DEFAULT_FLAGS, Config
from djafs.fuse.server import Server
from djafs.fuse.values import (
    FOREVER,
    SECOND,
    Attributes,
    AttributesReply,
    Created,
    Deferred,
    DirectoryEntry,
    Entry,
    InitInfo,
    IoctlReply,
    Opened,
    Request,
    SetAttributes,
    Statfs,
    negative_entry,
)
from djafs.fuse.wire import ROOT_NODE

__all__ = [
    "DEFAULT_FLAGS",
    "FOREVER",
    "ROOT_NODE",
    "SECOND",
    "Attributes",
    "AttributesReply",
    "Config",
    "Created",
    "Deferred",
    "DirectoryEntry",
    "Entry",
    "FuseError",
    "Handler",
    "InitFlag",
    "InitInfo",
    "IoctlReply",
    "Opened",
    "Request",
    "Server",
    "SetAttributes",
    "Statfs",
    "escape_option",
    "flags",
    "mount",
    "negative_entry",
    "unmount",
]
