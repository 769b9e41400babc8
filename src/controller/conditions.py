"""Status conditions as the Kubernetes API conventions define them (``metav1.Condition``).

The functions return a new list and leave the old one as it was. A list that is equal to the old
one needs no write: nothing changes but what is said to change, the transition time least of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

from ._clock import WallClock, wall_time
from .types import JsonObject

Status = Literal["True", "False", "Unknown"]

MESSAGE_LIMIT: Final = 32768
"""Characters that the schema of a condition allows."""


def find_condition(conditions: Iterable[JsonObject], type_: str) -> JsonObject | None:
    """Return the condition of that type, or None."""
    return next((each for each in conditions if each.get("type") == type_), None)


def set_condition(
    conditions: Iterable[JsonObject],
    type_: str,
    status: Status,
    *,
    reason: str,
    message: str = "",
    observed_generation: int | None = None,
    now: WallClock = wall_time,
) -> list[JsonObject]:
    """Return the conditions with one set; it keeps its place, a new one goes to the end.

    ``lastTransitionTime`` moves only if the status does, not with reason or message.
    """
    result = list(conditions)
    old = find_condition(result, type_)
    unmoved = old is not None and old.get("status") == status and "lastTransitionTime" in old
    new: JsonObject = {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message[:MESSAGE_LIMIT],
        "lastTransitionTime": old["lastTransitionTime"] if old and unmoved else timestamp(now()),
    }
    if observed_generation is not None:
        new["observedGeneration"] = observed_generation
    if old is None:
        return [*result, new]
    return [new if each is old else each for each in result]


def remove_condition(conditions: Iterable[JsonObject], type_: str) -> list[JsonObject]:
    """Return the conditions without the one of that type."""
    return [each for each in conditions if each.get("type") != type_]


def timestamp(moment: datetime) -> str:
    """Return a time of day as the Kubernetes API writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
