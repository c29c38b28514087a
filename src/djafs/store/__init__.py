"""What a store does, without any mount.

In reading order: :mod:`~djafs.store.identity` (what a store is, its lock),
:mod:`~djafs.store.tree` (the live tree), :mod:`~djafs.store.changes` (what a record does to it),
by :mod:`~djafs.store.versions` and :mod:`~djafs.store.bindings`,
:mod:`~djafs.store.space` (room on the disk), :mod:`~djafs.store.syncer` (durability, the index),
:mod:`~djafs.store.recorder` (how a change is made), :mod:`~djafs.store.recovery`,
:mod:`~djafs.store.opening`, :mod:`~djafs.store.content` (reading),
:mod:`~djafs.store.store` (the façade),
:mod:`~djafs.store.snapshots` (past days), :mod:`~djafs.store.collector` (packing),
:mod:`~djafs.store.repairing` (what a repair has decided is carried out),
:mod:`~djafs.store.aside` (damaged originals), :mod:`~djafs.store.log_rescue`.
"""
