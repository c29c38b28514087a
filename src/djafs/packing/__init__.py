"""Packing: moving content that has come to rest from the hot log into an archive.

In reading order:

- ``plan``: what is to be packed, and what has become of it; values only.
- ``pieces``: reads the content of an item, wherever it lies now.
- ``pack``: the ordered steps from a plan to an archive that has been read back.
- ``wire``: how plan and result travel between daemon and packer.
- ``child``, ``asked``: what processes do that another one has started, or has asked something.
- ``worker``: the packer, a process of its own.
- ``packer``: the daemon's side of it.

Naming the archive and logging what it holds is the store's part; until then nothing refers to it.
"""
