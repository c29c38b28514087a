"""Exit statuses by name and by command; docs/exit-status.md explains them to users.

The numbers are fsck(8)'s, for every command. A test holds the document, the help texts and the
errors in :mod:`djafs.errors` to what stands here.
"""

from __future__ import annotations

OK = 0
INCOMPLETE = 1
REPAIRED = 1
PARTIAL = 3
ERRORS_LEFT = 4
FAILED = 8
USAGE = 16
INTERRUPTED = 130  # 128 + SIGINT, as shells count
OUTPUT_CLOSED = 141  # 128 + SIGPIPE

BY_COMMAND: dict[str, dict[int, str]] = {
    "mount": {
        OK: "mounted, and the mount answers",
        ERRORS_LEFT: "the store is damaged; djafs validate says how",
        FAILED: "not mounted",
        USAGE: "wrong usage",
    },
    "umount": {
        OK: "unmounted, the store is unlocked",
        FAILED: "not unmounted, or the store is still locked",
        USAGE: "wrong usage",
    },
    "convert": {
        OK: "everything was brought over",
        PARTIAL: "something was not brought over, and is named; the rest was",
        ERRORS_LEFT: "the store is damaged; djafs validate says how",
        FAILED: "nothing was brought over, or the conversion failed; the store is valid",
        USAGE: "wrong usage",
    },
    "export": {
        OK: "everything was exported",
        PARTIAL: "something was not exported, and is named; the rest was",
        ERRORS_LEFT: "the store is damaged; djafs validate says how",
        FAILED: "not exported",
        USAGE: "wrong usage",
    },
    "gc": {
        OK: "everything that had settled is packed",
        ERRORS_LEFT: "the store is damaged; djafs validate says how",
        FAILED: "not packed; nothing is lost",
        USAGE: "wrong usage",
    },
    "validate": {
        OK: "no errors",
        REPAIRED: "there were errors; all are repaired (-r)",
        ERRORS_LEFT: "errors were found, and are left",
        FAILED: "the check could not run",
        USAGE: "wrong usage",
    },
    "count": {
        OK: "everything was counted",
        INCOMPLETE: "something could not be read; the rest was counted",
        FAILED: "the count failed",
        USAGE: "wrong usage",
    },
}
"""What each exit status means, command by command."""
