"""What a filesystem is to the server: one method per operation.

Derive from :class:`Handler` and override what the filesystem can do. For every method:

- It answers by returning what its contract says, by raising ``OSError`` with the errno that the
  caller is to see (below 512), or by returning a :class:`~djafs.fuse.values.Deferred` with a
  function that does either on another thread. An exception of another class with an integer
  ``errno`` is answered with that, and one without with EIO; both are reported to the server's
  ``on_error``.
- It is called on the thread that runs :meth:`~djafs.fuse.server.Server.serve`, one call at a
  time, holding the server's guard.
- ``request`` says who asks and about which node. It may be kept only until the method returns, or
  the deferred function does.
- Names are bytes: not empty, without NUL, not necessarily UTF-8.
- ENOSYS, which all methods here raise, is no ordinary error: for many operations the kernel
  never asks again, which makes it the cheapest answer where nothing has to be done.
"""

from __future__ import annotations

from djafs.fuse.content_operations import ContentOperations
from djafs.fuse.name_operations import NameOperations
from djafs.fuse.node_operations import NodeOperations
from djafs.fuse.values import InitInfo


class Handler(NodeOperations, NameOperations, ContentOperations):
    """A filesystem in which nothing is implemented."""

    def init(self, info: InitInfo) -> None:
        """Begin: the kernel and the server have agreed on ``info``. Called once, first.

        An exception refuses the mount: everything in it fails with ECONNREFUSED, and ``serve``
        raises it.
        """

    def destroy(self) -> None:
        """End: no request follows, and every node is forgotten. Called once, last, after init.

        The kernel has let go of the filesystem by then, or the server was stopped by an
        exception.
        """
