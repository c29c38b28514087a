"""Our bytes on disk: formats, and nothing about what they mean to a mount.

In reading order: :mod:`~djafs.disk.layout` (names), :mod:`~djafs.disk.host` (the one door to the
operating system) with :mod:`~djafs.disk.beside`, :mod:`~djafs.disk.records`,
:mod:`~djafs.disk.lookup_line`, :mod:`~djafs.disk.lookup_log` (the writer) and
:mod:`~djafs.disk.lookup_reader`,
:mod:`~djafs.disk.hot_log`, :mod:`~djafs.disk.segment_files` (what both logs have open),
:mod:`~djafs.disk.archive_writer` and :mod:`~djafs.disk.archive_reader`,
:mod:`~djafs.disk.frame_scan` (archives without a seek table), :mod:`~djafs.disk.lost`,
:mod:`~djafs.disk.index` with ``schema.sql``, :mod:`~djafs.disk.batch` and
:mod:`~djafs.disk.index_writer`.
"""
