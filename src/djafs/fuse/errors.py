"""The one error of this package; operations themselves fail with OSError."""

from __future__ import annotations


class FuseError(Exception):
    """Mounting, unmounting or the conversation with the kernel failed; the message is one line."""
