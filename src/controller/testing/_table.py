"""Tables: what ``kubectl get`` prints, made by the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ..types import JsonObject
from . import _jsonpath
from ._kinds import Column, Kind


def table(
    kind: Kind,
    objects: Sequence[JsonObject],
    *,
    meta: JsonObject,
    now: datetime,
    include: str = "Metadata",
    columns: bool = True,
) -> JsonObject:
    """Return the table of some objects; ``columns`` is off for all but the first of a watch."""

    def age(timestamp: str) -> str:
        return human_age(timestamp, now)

    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [_definition(column) for column in kind.columns] if columns else None,
        "rows": [
            {"cells": _cells(kind, obj, age), "object": _included(kind, obj, include)}
            for obj in objects
        ],
    }


def _definition(column: Column) -> JsonObject:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _included(kind: Kind, obj: JsonObject, include: str) -> JsonObject | None:
    if include == "None":
        return None
    if include == "Object":
        # items of a list do not say what they are; in a table they must, as clients decode each
        return {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, **obj}
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": obj["metadata"],
    }


def _cells(kind: Kind, obj: JsonObject, age: Callable[[str], str]) -> list[Any]:
    if "name" not in obj["metadata"]:  # the object of a bookmark
        return ["", *(None for _ in kind.columns[1:])]
    if kind.cells is not None:
        return kind.cells(obj, age)
    paths = [_cell(column, obj, age) for column in kind.columns[1:]]
    return [obj["metadata"]["name"], *paths]


def _cell(column: Column, obj: JsonObject, age: Callable[[str], str]) -> Any:
    found = _jsonpath.find(column.path, obj)
    if not found:
        return None
    value = found[0]
    if column.type == "string":
        return value if isinstance(value, str) else _printed(value)
    if column.type == "date":
        return age(value) if isinstance(value, str) else None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if column.type == "integer":
        return int(value) if number else None
    if column.type == "number":
        return float(value) if number else None
    return value if isinstance(value, bool) else None


def _printed(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def human_age(timestamp: str, now: datetime) -> str:
    """Return an age in the two units that people read: ``5s``, ``3m7s``, ``2d4h``, ``1y20d``."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<unknown>" if not timestamp else "<invalid>"
    seconds = int((now - then).total_seconds())
    if seconds < -1:
        return "<invalid>"
    return _human_duration(max(seconds, 0))


def _human_duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
