"""The way out: a live tree, or that of any day, as a tar or a directory (docs/export.md).

In reading order: ``view`` (a tree at one moment, from the index alone), ``content`` (verified
bytes of a file in it), ``walk`` (what is to be written, in order), ``tarball`` and ``directory``
(the two ways of writing it), ``run``.
"""
