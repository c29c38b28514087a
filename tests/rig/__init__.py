"""What tests are built with, and nothing of the product.

:mod:`rig.mount` (a mount that cannot hang the tests), :mod:`rig.daemons` (those that commands
start), :mod:`rig.command` (djafs as a user runs
it), :mod:`rig.waiting` (for an event, with a deadline), :mod:`rig.leftovers` (mounts of earlier
runs), :mod:`rig.unprivileged` (code as nobody), :mod:`rig.trees` (real
documents, and what tells two trees apart).
"""
