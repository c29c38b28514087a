"""A conversion from its beginning to its end."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import ExitStack, closing

from djafs.disk import parity
from djafs.disk.layout import Layout
from djafs.disk.legacy_layout import is_legacy
from djafs.disk.records import File
from djafs.errors import ReadOnlyStoreError, UsageError
from djafs.model import LIVE_ROOT
from djafs.store.identity import check_time_zone
from djafs.store.store import Store
from djafs.tools.convert.carrying import StoreCarrier
from djafs.tools.convert.contents import Contents, WriteError
from djafs.tools.convert.feed import COLLECT, Feed, LocalFeed, ProcessFeed
from djafs.tools.convert.intake import Intake
from djafs.tools.convert.links import Links
from djafs.tools.convert.options import Options
from djafs.tools.convert.protecting import protect
from djafs.tools.convert.summary import Summary
from djafs.tools.convert.target import Target
from djafs.tools.convert.walk import StoppedError, Walk

INDEX_CACHE = 32 << 20
"""Bytes of pages of the index that are kept in memory while it grows."""

Tick = Callable[[Summary], bool]
"""Called now and then with what was done so far; returns whether to stop."""


def convert(options: Options, tick: Tick) -> Summary:
    """Bring a tree into a store, and say what was done.

    What cannot be brought over is in the summary. Raises UsageError, NotAStoreError,
    LockedError and whatever else opening the store raises, and OSError where the top of the
    source cannot be read.
    """
    check(options)
    with ExitStack() as stack:
        stack.callback(gc.set_threshold, *gc.get_threshold())
        gc.set_threshold(COLLECT)
        process = None
        if options.beside and not is_legacy(options.source):
            process = ProcessFeed()  # it gets ready while the store is opened
            stack.callback(process.close)
        store = Store.open(
            options.output, create=True, time_zone=options.time_zone or "UTC", parity=options.parity
        )
        summary = Summary()
        before = log_bytes(store.layout)
        stack.callback(_close, store, summary)
        _bring(store, options, summary, process, tick)
        if not summary.interrupted and not summary.full:
            protect(store, summary, lambda: tick(summary))
    summary.log_bytes = log_bytes(store.layout) - before
    summary.finish()
    return summary


def _bring(
    store: Store, options: Options, summary: Summary, process: ProcessFeed | None, tick: Tick
) -> None:
    numbers = (store.tree.next_content, store.tree.next_archive)
    if process is not None:
        with closing(process):  # before the store is let go, in which it writes
            process.begin(options, store.layout, numbers)
            Conversion(store, options, summary, process).bring_tree(tick)
        return
    level, threads = options.level, options.compressors
    contents = Contents(store.host, store.layout, level, threads, numbers)
    feed = LocalFeed(contents, options.readers)
    with closing(feed):
        conversion = Conversion(store, options, summary, feed)
        if is_legacy(options.source):
            from djafs.tools.legacy.reader import bring_legacy  # noqa: PLC0415 (seldom used)

            bring_legacy(conversion, feed.supply, tick)
        else:
            conversion.bring_tree(tick)


def check(options: Options) -> None:
    """Refuse what cannot be meant (raises UsageError) or done (ParityError)."""
    source, output = os.path.realpath(options.source), os.path.realpath(options.output)
    if not os.path.isdir(source):
        raise UsageError(f"{options.source} is not a directory")
    for inner, outer in ((source, output), (output, source)):
        if inner == outer or inner.startswith(os.path.join(outer, "")):
            raise UsageError(
                f"{options.source} and {options.output} lie within one another: "
                "give a store that is no part of the tree"
            )
    if os.path.exists(Layout(source).identity):
        raise UsageError(
            f"{options.source} is a djafs store already: "
            "copy it with cp -a, or mount it and convert what is in live/"
        )
    if options.time_zone is not None:
        check_time_zone(Layout(output), options.time_zone)
    if is_legacy(source):
        _check_legacy(options)
    if options.parity:
        parity.program()
    if b".." in options.prefix.split(b"/"):
        raise UsageError("the prefix must not contain ..")


def _check_legacy(options: Options) -> None:
    for name in ("checksum", "delete", "dry_run", "exclude", "one_file_system"):
        if getattr(options, name):
            raise UsageError(
                f"{options.source} is a store of the original djafs, which is brought over whole: "
                f"--{name.replace('_', '-')} does not go with it (djafs validate -p says what it "
                "holds)"
            )


def log_bytes(layout: Layout) -> int:
    """Return the bytes of the lookup log."""
    with os.scandir(layout.lookups) as entries:
        return sum(entry.stat().st_size for entry in entries)


def _close(store: Store, summary: Summary) -> None:
    try:
        store.close()
    except (ReadOnlyStoreError, OSError) as error:
        # What was logged is in the log; the next mount brings the index up to date.
        if not summary.problems:
            raise
        summary.fail(b"", f"the store could not be closed in good order: {error}")


class Conversion:
    """What carries into an open store, from one or several sources."""

    def __init__(self, store: Store, options: Options, summary: Summary, feed: Feed) -> None:
        self.store, self.options, self.summary, self.feed = store, options, summary, feed
        self.intake = Intake(store, feed, summary)
        self.target = Target(store.tree, store.reads.live)
        # So much of the index changes with each batch.
        store.recovered.writing.connection.execute(f"PRAGMA cache_size = -{INDEX_CACHE >> 10}")

    def bring_tree(self, tick: Tick) -> None:
        """Bring the source over, as far as it can be."""
        summary, links = self.summary, Links()
        carrier = StoreCarrier(self.intake, self.feed, self.target, links, summary)
        walk = Walk(self.options, self.target, carrier, links, summary, lambda: tick(summary))
        try:
            root = self.make_root(self.options.prefix)
            try:
                walk.run(root)
            except StoppedError:
                summary.interrupted = True
            self.intake.finish()
        except WriteError as error:
            self.give_up(error)
        finally:
            links.close()

    def give_up(self, error: WriteError) -> None:
        """Note that the store took no more, and that what waited for it is not there."""
        summary, waiting = self.summary, self.intake.waiting()
        for change in waiting:
            if isinstance(change, File):
                summary.new -= not change.replace
                summary.changed -= change.replace
        summary.full = error.full
        then = "make room, and run it again" if error.full else "run it again to go on"
        what = f"{error}; the last {len(waiting):,} changes and all after them are missing: {then}"
        summary.fail(b"", what)

    def make_root(self, prefix: bytes) -> int:
        """Return the directory at ``prefix`` in the store, which is made if it is not there."""
        store, ino = self.store, LIVE_ROOT
        for name in filter(None, prefix.split(b"/")):
            with store.guard:
                dentry = store.dentry(ino, name)
                if dentry is None:
                    made = store.create(ino, name, 0o040755, os.geteuid(), os.getegid())
                    ino = made.ino
                else:
                    ino = dentry.ino
                    inode = store.inode(ino)
                    if inode is None or not inode.is_directory:
                        raise UsageError(f"{prefix.decode(errors='replace')} is not a directory")
        return ino
