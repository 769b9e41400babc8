"""Events: one object with two faces, ``v1`` and ``events.k8s.io/v1``.

They are stored in the older form, as on a real server, so both APIs list and watch the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ..types import JsonObject
from ._status import Cause, invalid_value, required

RENAMED: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_BACK: Final = {new: old for old, new in RENAMED.items()}
_REFERENCE: Final = (
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
)
CORE_FIELDS: Final = frozenset(
    {f"involvedObject.{name}" for name in _REFERENCE}
    | {"reason", "reportingComponent", "source", "type"}
)
FIELDS: Final = frozenset(
    {f"regarding.{name}" for name in _REFERENCE} | {"reason", "reportingController", "type"}
)
FIXED: Final = ("involvedObject", "reason", "message", "type", "action", "reportingComponent")
"""Fields of an event of the newer API that no update may change; its series may."""


def from_core(obj: JsonObject) -> JsonObject:
    """Show a stored event as ``events.k8s.io/v1``."""
    renamed = {RENAMED.get(key, key): value for key, value in obj.items()}
    for empty in ("reportingController", "reportingInstance"):
        if not renamed.get(empty):
            renamed.pop(empty, None)
    return {**renamed, "apiVersion": "events.k8s.io/v1"}


def to_core(obj: JsonObject) -> JsonObject:
    """Store an event of ``events.k8s.io/v1``."""
    return {**{_BACK.get(key, key): value for key, value in obj.items()}, "apiVersion": "v1"}


def prepare(obj: JsonObject, old: JsonObject | None) -> None:
    """Fill in what the server always shows."""
    for name in ("involvedObject", "source"):
        obj.setdefault(name, {})
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        obj.setdefault(name, None)
    for name in ("reportingComponent", "reportingInstance"):
        obj.setdefault(name, "")


def check(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check an event: it lives in the namespace of what it is about."""
    place = obj["metadata"].get("namespace", "")
    about = obj["involvedObject"].get("namespace", "")
    if about == place or (not about and place == "default"):
        return ()
    return [_misplaced(about)]


def _misplaced(about: str) -> Cause:
    return invalid_value("involvedObject.namespace", about, "does not match event.namespace")


def check_new(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check an event of the newer API: all of it is required, little of it may change."""
    about = obj["involvedObject"].get("namespace", "")
    astray = not about and obj["metadata"].get("namespace") != "default"
    causes = [_misplaced(about)] if astray else []
    if old is not None:
        changed = (name for name in FIXED if obj.get(name) != old.get(name))
        return causes + [invalid_value(name, obj[name], "field is immutable") for name in changed]
    if not obj.get("eventTime"):
        causes.append(required("eventTime"))
    wanted = ("reportingController", "reportingInstance", "action", "reason")
    causes += [required(name) for name in wanted if not obj.get(_BACK.get(name, name))]
    if obj.get("type") not in ("Normal", "Warning"):
        value = obj.get("type", "")
        causes.append(invalid_value("type", value, f"has invalid value: {value}"))
    return causes


def cells(obj: JsonObject, age: Callable[[str], str]) -> list[Any]:
    """Return the row that ``kubectl get events`` prints."""
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime") or ""
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    count = series.get("count") or obj.get("count") or 1
    about = obj["involvedObject"]
    subject = about.get("kind", "").lower()
    if about.get("name"):
        subject += f"/{about['name']}"
    source = obj["source"].get("component") or obj.get("reportingComponent", "")
    instance = obj["source"].get("host") or obj.get("reportingInstance", "")
    return [
        age(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        subject,
        about.get("fieldPath", ""),
        ", ".join(filter(None, (source, instance))),
        obj.get("message", "").strip(),
        age(first),
        count,
        obj["metadata"]["name"],
    ]
