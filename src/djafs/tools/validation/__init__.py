"""Checking a store, mounted or not, without changing a byte of it.

In reading order:

- ``findings``: what can be wrong, as values: a kind, a place, the paths affected, what to do next.
- ``workspace``: copies of what must hold still, in a directory of their own: the index, and
  tables of damage.
- ``log_lines``: every line of the lookup log, going on behind what is damaged.
- ``rebuild``: an index made from the log alone, by the code that recovery uses.
- ``log_check``: the log as a whole; brings the rebuilt index to the position of the store's, has
  them compared, and goes on to the end.
- ``compare``: two indexes row by row, and which differences mean nothing.
- ``history``: the tables of which a difference may mean nothing.
- ``namespace``: names, link counts and directories fit together.
- ``scans``, ``scan_worker``: another process reads the archives while this one reads the log.
- ``archives``, ``hot``: every archived content and every hot extent that is needed.
- ``references``: from damaged content to the files, now and on past days, that it belongs to.
- ``paths``: an inode's paths, now and on a day.
- ``leftovers``: files in the store that belong to nothing.
- ``text``: findings as lines.

Everything but the comparison is checked against the *basis*: the rebuilt index, which nobody else
writes, so that a running daemon is never in the way. It is brought forward before anything that is
missing is called an error: the daemon logs that something is not needed before it removes it.
"""
