"""Handlers for a fake kernel, and requests that it sends."""

import struct

from djafs.fuse import Handler

GETATTR = bytes(16)
READ = struct.pack("=QQIIQII", 0, 0, 4096, 0, 0, 0, 0)
WRITE_ABC = struct.pack("=QQIIQII", 0, 0, 3, 0, 0, 0, 0) + b"abc"


class Recorder(Handler):
    """Notes what it is called with."""

    def __init__(self):
        self.calls = []

    def init(self, info):
        self.calls.append(("init", info))

    def destroy(self):
        self.calls.append(("destroy",))

    def forget(self, nodeid, nlookup):
        self.calls.append(("forget", nodeid, nlookup))


class Failing(Handler):
    """Raises what it is given."""

    def __init__(self, error):
        self.error = error

    def getattr(self, request, handle):
        raise self.error
