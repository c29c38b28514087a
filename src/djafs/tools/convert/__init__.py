"""Bringing a directory tree into a store without a mount (docs/convert.md).

In reading order:

- ``options``, ``summary``: what is asked for, and what was done.
- ``listing``: the names of a directory in order, however many; ``excludes``: which are left out.
- ``reading``: a file as a whole, or what is wrong with it.
- ``links``: which names are the same file.
- ``target``: what the store has under a name.
- ``contents``: from contents to archives; ``intake``: from changes to the lookup log.
- ``carrying``: what is done about a name: bring, replace, touch up, remove.
- ``walk``: the tree, directory by directory; ``run``: all of it, in order.
- ``estimate``: what it would come to.
"""
