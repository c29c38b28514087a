"""The error tree: each class carries the one exit status and the one errno it becomes.

Messages say what is wrong, where, and what to do next, in one line: the command line prints
``djafs: MESSAGE`` to stderr and exits with :attr:`DjafsError.exit_status`; the mount answers
the kernel with :attr:`DjafsError.errno` and writes the message to the daemon's log.
Exit statuses are those of docs/exit-status.md (fsck(8) for ``validate``).
"""

from __future__ import annotations

import errno


class DjafsError(Exception):
    """Any failure that djafs names. Never raised itself."""

    exit_status: int = 8
    errno: int = errno.EIO


class UsageError(DjafsError):
    """The command was called in a way that cannot work."""

    exit_status = 16
    errno = errno.EINVAL


class MountError(DjafsError):
    """The filesystem cannot be mounted, or the mount cannot be reached."""

    exit_status = 8


class StoreError(DjafsError):
    """A store cannot be used as a whole."""

    exit_status = 8


class NotAStoreError(StoreError):
    """The directory holds something else than a store."""


class NewerFormatError(StoreError):
    """The store was written by a later version of djafs."""


class LockedError(StoreError):
    """Another process holds the store."""

    errno = errno.EBUSY


class ReadOnlyStoreError(StoreError):
    """The store refuses changes, because a sync to disk has failed."""

    errno = errno.EROFS


class DamageError(DjafsError):
    """Bytes on disk are not the bytes that were written there."""

    exit_status = 4


class HotLogDamageError(DamageError):
    """Content in the hot log fails its checksum or is missing."""


class LookupLogDamageError(DamageError):
    """A line of the lookup log fails its checksum, is out of order, or cannot be parsed."""


class ArchiveDamageError(DamageError):
    """An archive cannot be read: missing, cut off, or failing a checksum."""


class IndexDamageError(DamageError):
    """The index is not usable and has to be rebuilt from the lookup log."""


class ParityError(DjafsError):
    """Recovery data cannot be made or used; nothing was changed."""


class PackingError(DjafsError):
    """The packer ended without a result; nothing was changed."""
