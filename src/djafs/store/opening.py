"""Taking a store: it is found or made, locked, and recovered."""

from __future__ import annotations

import os
from typing import NamedTuple

from djafs.disk import sqlite
from djafs.disk.host import Host
from djafs.disk.layout import Layout
from djafs.model import Calendar
from djafs.store.identity import (
    Identity,
    StoreLock,
    create_store,
    prepare_directories,
    prepare_store,
    read_identity,
    set_parity,
)
from djafs.store.leftovers import remove_leftovers
from djafs.store.recovery import Recovered, recover, set_aside
from djafs.store.space import FULL, Space


class Taken(NamedTuple):
    """A store that this process holds, and that is as its log says."""

    identity: Identity
    lock: StoreLock
    recovered: Recovered


def take(
    host: Host, layout: Layout, *, create: bool, time_zone: str, parity: int | None = None
) -> Taken:
    """Lock and recover a store, creating it if it is new and ``create`` is set.

    ``parity`` is the percentage of recovery data to make from now on, None as it was. Raises
    NotAStoreError, NewerFormatError, LockedError, LookupLogDamageError, OSError.
    """
    if create and not os.path.exists(layout.identity):
        prepare_store(host, layout, time_zone)
    else:
        read_identity(layout)
    lock = StoreLock.take(layout)
    try:
        if create and not os.path.exists(layout.identity):
            create_store(host, layout, time_zone)
        identity = read_identity(layout)
        prepare_directories(host, layout)
        if parity is not None and parity != identity.parity:
            identity = set_parity(host, layout, identity, parity)
        recovered = _recover(host, layout, identity)
        try:
            remove_leftovers(host, layout, recovered.reading)
        except sqlite.Error as error:
            if not sqlite.is_damage(error):
                raise
            recovered = _recover_without(recovered, host, layout, identity)
            remove_leftovers(host, layout, recovered.reading)
    except BaseException:
        lock.release()
        raise
    return Taken(identity, lock, recovered)


def _recover_without(
    recovered: Recovered, host: Host, layout: Layout, identity: Identity
) -> Recovered:
    """Recover once more, with another index: this one is damaged after all."""
    for index in (recovered.reading, recovered.writing):
        index.close()
    set_aside(host, layout)
    return _recover(host, layout, identity)


def _recover(host: Host, layout: Layout, identity: Identity) -> Recovered:
    """Recover a store, with the space kept in reserve if the disk is full."""
    calendar = Calendar(identity.zone())
    Space(host, layout).provide()
    try:
        return recover(host, layout, identity.id, calendar)
    except (OSError, sqlite.Error) as error:
        full = error.errno in FULL if isinstance(error, OSError) else sqlite.is_full(error)
        if not full or not Space(host, layout).release():
            raise
        return recover(host, layout, identity.id, calendar)
