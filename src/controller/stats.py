"""What an informer counts: plain numbers on the hot path, read by whoever exports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class InformerStats:
    """Counters of one informer, all its namespaces together, since it was made.

    Lists are those that were taken over, streamed ones included; failures are attempts that came
    to nothing, and ``relists`` the lists after the first of each namespace. ``last_contact`` is
    the loop's time at the last sign of life (list, event or bookmark) of the namespace that has
    been silent for longest, or None while one of them was never heard of.
    """

    objects: int = 0
    lists: int = 0
    list_failures: int = 0
    relists: int = 0
    watches: int = 0
    watch_failures: int = 0
    events: int = 0
    resource_version: str = ""
    last_contact: float | None = None
