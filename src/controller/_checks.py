"""What a manager tells about itself: whether it is alive, and whether it can be relied on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from .errors import ControllerError
from .health import Check
from .informer import Informer
from .leader import LeaderElector

SILENT_SECONDS: Final = 180.0
"""Three times as long as a healthy watch is silent, and long enough for one new list."""


def live(failure: ControllerError | None, elector: LeaderElector | None) -> Iterator[Check]:
    """Check what only a restart helps against; that this is called proves that the loop runs."""
    yield Check("tasks", "" if failure is None else str(failure))
    if elector is not None:
        late = f"leads without lease {elector.config.key}"
        yield Check("leader election", "" if elector.healthy else late)


def ready(
    informers: Iterable[Informer], elector: LeaderElector | None, now: float
) -> Iterator[Check]:
    """Check the caches; a replica that waits for the lease with complete caches is ready."""
    seen: Counter[str] = Counter()
    for informer in informers:
        title = str(informer.resource)
        seen[title] += 1
        name = f"informer {title}" + (f" #{seen[title]}" if seen[title] > 1 else "")
        yield Check(name, _trouble(informer, now))
    if elector is not None:
        holder = elector.holder or "nobody"
        note = "leads" if elector.is_leader else f"waits, the lease is held by {holder}"
        yield Check("leader election", note=note)


def _trouble(informer: Informer, now: float) -> str:
    if not informer.synced:
        return "its first list is not complete"
    silent = informer.freshness(now)
    if silent is not None and silent > SILENT_SECONDS:
        return f"nothing was heard of the API server for {silent:.0f} s"
    return ""
