"""Mounting: the only place where the FUSE layer and a store meet.

In reading order: :mod:`djafs.mounting.options` (what a mount was asked to be),
:mod:`djafs.mounting.mountpoints` (what the kernel has mounted),
:mod:`djafs.mounting.checks` (what is refused before anything starts),
:mod:`djafs.mounting.launch` (how the daemon comes to life), :mod:`djafs.mounting.daemon` (the
daemon itself), :mod:`djafs.mounting.handler` (the kernel's operations as changes of a store),
:mod:`djafs.mounting.live`, :mod:`djafs.mounting.names`, :mod:`djafs.mounting.listing` and
:mod:`djafs.mounting.content` (those on ``live/``), :mod:`djafs.mounting.pressure` (when writers
wait), :mod:`djafs.mounting.past` (those on the past),
:mod:`djafs.mounting.control` (what a command asks a running daemon),
:mod:`djafs.mounting.repairing` (a repair of a store in use),
:mod:`djafs.mounting.unmounting` (how a mount ends), :mod:`djafs.mounting.reporting` (where the
daemon's messages go).
"""
