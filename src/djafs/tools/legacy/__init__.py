"""Stores of the original djafs (docs/formats/legacy.md): reading, checking and writing them.

In reading order: :mod:`djafs.disk.legacy_layout` (where things lie, and what is such a store),
``tables`` (lookup tables, read as a stream), ``contents`` (from a target to bytes), ``catalog``
(every version of every name, in order), ``survey`` (fills the catalog), ``reader`` (into a store),
``validation``, ``writer`` (out of a tree).
"""
