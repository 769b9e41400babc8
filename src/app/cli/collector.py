"""Garbage collection of a process that does nothing but run the controller.

The first lists allocate much and free nothing: collections then only stop the loop, for up to a
second at 50,000 objects. Whoever embeds the operator decides this for their own process.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (50_000, 20, 100)
"""Collect the young after 50,000 allocations instead of 700: a reconcile makes a few thousand,
nearly all of them freed by reference counts. The old ones are looked at a hundredth as often."""


def pause_collections() -> None:
    """Switch automatic collections off while the caches are filled."""
    gc.disable()


def resume_collections() -> None:
    """Take everything that exists now out of future collections, and switch them on again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
