"""Tools: what djafs does to stores and trees without mounting anything.

Nothing here needs ``/dev/fuse``; each module is one tool and has one command in :mod:`djafs.cli`.
"""
