"""Fixtures: a store to damage."""

from rig.whole_store import built, copy

__all__ = ["built", "copy"]
