"""What makes a directory a store: ``djafs.json``, the lock, and the first layout."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import time
import uuid
from dataclasses import dataclass
from datetime import timezone, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from djafs.disk.host import Host, no_follow
from djafs.disk.layout import Layout, is_parity_workspace
from djafs.disk.legacy_layout import is_legacy
from djafs.errors import LockedError, NewerFormatError, NotAStoreError, UsageError

FORMAT = 1
"""The format that this version writes (docs/formats/store.md)."""

CLOSING = 60.0
"""Seconds to wait for a daemon that says it is closing."""

_OWN = {"hot", "lookups", "archives", "lock", "djafs.json.tmp", "reserve", "lost+found"}


class Identity(msgspec.Struct, frozen=True):
    """The content of ``djafs.json``."""

    format: int
    id: str
    time_zone: str
    created: int  # nanoseconds since the epoch
    parity: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0  # percentage, 0 for none

    def zone(self) -> tzinfo:
        """Return the time zone that days are counted in."""
        return zone_of(self.time_zone)


def zone_of(name: str) -> tzinfo:
    """Return the time zone called ``name`` (raises UsageError when there is none)."""
    if name == "UTC":
        return timezone.utc
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"there is no time zone {name!r}; one is Europe/Berlin") from error


def read_identity(layout: Layout) -> Identity:
    """Return the identity of a store.

    Raises NotAStoreError when there is none, NewerFormatError when this version cannot read it.
    """
    try:
        with open(layout.identity, "rb", opener=no_follow) as file:
            fields = json.loads(file.read(1 << 20))
        number = fields["format"]
        if isinstance(number, int) and number > FORMAT:
            raise NewerFormatError(
                f"{layout.root} has format {number}, this djafs reads up to {FORMAT}: "
                "install a newer djafs"
            )
        return msgspec.convert(fields, Identity)
    except FileNotFoundError as error:
        _refuse_legacy(layout)
        raise NotAStoreError(f"{layout.root} is not a djafs store: it has no djafs.json") from error
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise NotAStoreError(f"{layout.identity} cannot be read: {error}") from error


def check_time_zone(layout: Layout, time_zone: str) -> None:
    """Refuse another zone than a store has (raises UsageError): its days are what they are."""
    if not os.path.exists(layout.identity):
        return
    chosen = read_identity(layout).time_zone
    if chosen != time_zone:
        raise UsageError(
            f"{layout.root} counts its days in {chosen}, which was set when it was made:"
            " leave --time-zone away"
        )


def prepare_store(host: Host, layout: Layout, time_zone: str) -> None:
    """Make the directory for a new store, durably, if it is not there.

    Raises NotAStoreError where others' files lie, or what belongs to a store that has lost its
    ``djafs.json``.
    """
    zone_of(time_zone)
    missing = layout.root
    while not os.path.isdir(os.path.dirname(missing)):
        missing = os.path.dirname(missing)
    if not os.path.isdir(layout.root):
        os.makedirs(layout.root, mode=0o700, exist_ok=True)
        directory = layout.root
        while directory != os.path.dirname(missing):
            directory = os.path.dirname(directory)
            with contextlib.suppress(PermissionError):  # it may be entered, but not be read
                host.sync_directory(directory, "store.sync-parent")
    foreign = sorted(set(os.listdir(layout.root)) - _OWN)
    if foreign:
        _refuse_legacy(layout)
        raise NotAStoreError(
            f"{layout.root} is not a djafs store and not empty (it has {foreign[0]!r}): "
            "give an empty or new directory"
        )
    for directory in _directories(layout):
        if os.path.isdir(directory) and os.listdir(directory):
            raise NotAStoreError(
                f"{layout.root} has content in {os.path.basename(directory)}/ but no djafs.json: "
                "restore that file from a backup"
            )


def _refuse_legacy(layout: Layout) -> None:
    if is_legacy(layout.root):
        raise NotAStoreError(
            f"{layout.root} is a store of the original djafs; to bring it over: "
            f"djafs convert -i {shlex.quote(layout.root)} -o NEW_STORE"
        )


def _directories(layout: Layout) -> tuple[str, str, str]:
    return layout.hot, layout.lookups, layout.archives


def prepare_directories(host: Host, layout: Layout) -> None:
    """Make directories that are missing, as a backup leaves out empty ones; clear drafts away.

    What is there by then is durable: whoever made it may have been killed before it was. Raises
    NotAStoreError when one of the directories is a symbolic link, or none: what a store holds lies
    inside of it.
    """
    for directory in _directories(layout):
        if not os.path.lexists(directory):
            host.mkdir(directory, "store.mkdir")
        elif os.path.islink(directory) or not os.path.isdir(directory):
            raise NotAStoreError(f"{directory} is not a directory")
    with contextlib.suppress(PermissionError):  # it may be entered, but not be read
        host.sync_directory(os.path.dirname(layout.root), "store.sync-parent")
    host.sync_directory(layout.root, "store.sync-directory")
    for directory in (layout.archives, layout.lookups, layout.root):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if is_parity_workspace(path):
                shutil.rmtree(path)
            elif name.endswith(".tmp"):
                host.unlink(path, "recovery.unlink-draft")


def create_store(host: Host, layout: Layout, time_zone: str) -> Identity:
    """Make an empty store, or finish making one; its lock is held."""
    for directory in _directories(layout):
        if not os.path.isdir(directory):
            host.mkdir(directory, "store.mkdir")
    identity = Identity(FORMAT, str(uuid.uuid4()), time_zone, time.time_ns())
    _write(host, layout, identity)
    return identity


def set_parity(host: Host, layout: Layout, identity: Identity, percent: int) -> Identity:
    """Have a store make so much recovery data from now on (0 for none); its lock is held."""
    identity = msgspec.structs.replace(identity, parity=percent)
    _write(host, layout, identity)
    return identity


def _write(host: Host, layout: Layout, identity: Identity) -> None:
    text = json.dumps(msgspec.to_builtins(identity), indent=2).encode() + b"\n"
    draft = layout.identity + ".tmp"
    descriptor = host.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "store.create", 0o644)
    try:
        host.pwrite(descriptor, text, 0, "store.write")
        host.sync(descriptor, "store.sync")
    finally:
        host.close(descriptor)
    host.rename(draft, layout.identity, "store.rename")
    host.sync_directory(layout.root, "store.sync-directory")


@dataclass
class StoreLock:
    """The lock of a store, held by this process until :meth:`release`."""

    descriptor: int
    layout: Layout

    @classmethod
    def take(cls, layout: Layout) -> StoreLock:
        """Take the lock (raises LockedError); a daemon that is just closing is waited for."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(layout.lock, flags, 0o600)
        deadline = time.monotonic() + CLOSING
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(descriptor, 200, 0).decode(errors="replace").split()
                if owner[1:] != ["closing"] or time.monotonic() > deadline:
                    os.close(descriptor)
                    who = f"process {owner[0]}" if owner else "another process"
                    raise LockedError(
                        f"{layout.root} is in use by {who}: unmount it first "
                        "(djafs umount MOUNTPOINT)"
                    ) from None
                time.sleep(0.02)
            else:
                lock = cls(descriptor, layout)
                lock.say("serving")
                return lock

    def say(self, state: str) -> None:
        """Tell those who wait for the lock what its holder is doing."""
        text = f"{os.getpid()} {state}\n".encode()
        with contextlib.suppress(OSError):  # a full disk; nothing but waiting depends on it
            os.pwrite(self.descriptor, text, 0)
            os.ftruncate(self.descriptor, len(text))

    def release(self) -> None:
        """Give the lock back."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)
