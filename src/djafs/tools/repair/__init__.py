"""Repairing a store: what a check found, and an action for each finding (docs/validate.md).

In reading order:

- ``run``: the order of it all; check, repair, check again.
- ``identity``: ``djafs.json`` made again.
- ``salvage``: following a log that has lost lines; files with a lost beginning get a name.
- ``log``: the log begun anew with a checkpoint of all that is known.
- ``preparation``: from findings to steps, file kind by file kind.
- ``archives``: archives that can be had again bit for bit, and their metadata.
- ``recovery_data``: recovery data made again.
- ``contents``: what is whole in damaged archives and hot segments, found elsewhere, or lost.
- ``sources``: the places to look at; ``holders``: whose content it is.
- ``rewriting``: a new archive for what was saved.

Nothing here changes content that is in use. What was decided is carried out by
:mod:`djafs.store.repairing`, in this process or by the daemon that has the store.
"""
