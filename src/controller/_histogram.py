"""Counts durations and sizes in fixed buckets: what is observed on a hot path stays plain numbers.

Nothing here knows Prometheus. Its cumulative form is made when somebody asks (``metrics.py``).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

QUEUE_BOUNDS: Final = tuple(float(f"1e{exponent}") for exponent in range(-8, 4))
"""Ten nanoseconds to a quarter of an hour in steps of ten: those of client-go's work queue."""
RECONCILE_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8),
    *(0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30),
    *(40.0, 50.0, 60.0),
)
"""Seconds of a reconcile: those of controller-runtime, so that dashboards fit."""
REQUEST_BOUNDS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Seconds of a request: those of client-go."""
SIZE_BOUNDS: Final = (
    *(64.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0),
    16777216.0,
)
"""Bytes of a request or an answer: those of client-go."""


class Histogram:
    """How often what was observed lay in each bucket, and the sum of it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        # ascending; a bucket holds what is above the bound before it and not above its own
        self.bounds = bounds
        # one more than there are bounds: the last one holds what is above all of them
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self.counts)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, as often as it was seen."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times
