"""The command line: one module per command, and :mod:`djafs.cli.main` that finds them.

In reading order: :mod:`djafs.cli.main` (errors become exit statuses once, here),
:mod:`djafs.cli.command` (what every command has: an example, its exit statuses),
:mod:`djafs.cli.parameters` (sizes, zones), then the commands by their names. Whatever a command
needs beyond click it imports when it runs, so that ``djafs count`` does not wait for a FUSE layer.
"""
