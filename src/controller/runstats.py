"""What a controller counts: plain numbers on the hot path, read by whoever exports them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._histogram import RECONCILE_BOUNDS, Histogram


def _durations() -> Histogram:
    return Histogram(RECONCILE_BOUNDS)


@dataclass(slots=True)
class ControllerStats:
    """Counters of one controller since it was made; every run that ended is in one of the first.

    ``errors`` counts all failed runs. Of those, ``terminal`` are not repeated, ``timeouts`` took
    too long, and ``panics`` failed by a bug of the reconcile function.
    """

    successes: int = 0
    requeues: int = 0
    errors: int = 0
    terminal: int = 0
    timeouts: int = 0
    panics: int = 0
    durations: Histogram = field(default_factory=_durations)
