"""Server-side apply's two operations on values: merge a manifest in, and take fields out."""

from __future__ import annotations

from typing import Any

from ..types import JsonObject
from ._fieldset import FieldSet, Path, child, is_atomic, step_of


def merge(live: Any, manifest: Any, schema: JsonObject) -> Any:
    """Return ``live`` with the manifest in it: maps and keyed lists merge, the rest is replaced."""
    if not isinstance(manifest, dict | list) or is_atomic(manifest, schema):
        return manifest
    if isinstance(manifest, dict):
        return _merge_map(live if isinstance(live, dict) else {}, manifest, schema)
    return _merge_list(live if isinstance(live, list) else [], manifest, schema)


def _merge_map(live: JsonObject, manifest: JsonObject, schema: JsonObject) -> JsonObject:
    merged = dict(live)
    for name, value in manifest.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(live.get(name), value, child(schema, name))
    return merged


def _merge_list(live: list[Any], manifest: list[Any], schema: JsonObject) -> list[Any]:
    """Merge by key: the manifest's order wins among its own items, the others keep their place."""
    items: JsonObject = schema.get("items") or {}
    old = {step_of(item, schema): item for item in live}
    new = {step_of(item, schema): item for item in manifest}
    order = _interleaved(list(old), list(new))
    return [_item(old.get(step), new.get(step), items) for step in order]


def _item(old: Any, new: Any, schema: JsonObject) -> Any:
    if new is None:
        return old
    return new if old is None else merge(old, new, schema)


def _interleaved(old: list[Any], new: list[Any]) -> list[Any]:
    """Return both lists as one, walking them side by side from one shared item to the next."""
    order: list[Any] = []
    known, mine = set(old), set(new)
    waiting = [item for item in new if item in known]
    left = right = 0
    while left < len(old) or right < len(new):
        here = old[left] if left < len(old) else None
        if here is not None and (here in order or (here in mine and right == len(new))):
            left += 1
        elif here is not None and right < len(new) and here == new[right]:
            order.append(here)
            left, right, waiting = left + 1, right + 1, waiting[1:]
        elif here in mine and waiting and waiting[0] != here and right < len(new):
            left += 1  # shared, but not the one whose turn it is
        elif here is not None and here not in mine:
            order.append(here)
            left += 1
        else:
            order.append(new[right])
            waiting = waiting[1:] if new[right] in known else waiting
            right += 1
    return order


def remove(value: Any, fields: FieldSet, schema: JsonObject) -> Any:
    """Return a value without some of its fields; what is empty after that is gone as well."""
    return _remove(value, fields, _inner(fields), schema, ())


def _inner(fields: FieldSet) -> FieldSet:
    """Return every path on which there is something to remove further down."""
    return frozenset(path[:at] for path in fields for at in range(len(path)))


def _remove(value: Any, fields: FieldSet, inner: FieldSet, schema: JsonObject, path: Path) -> Any:
    if path not in inner or not isinstance(value, dict | list):
        return value
    if not value or is_atomic(value, schema):
        return None
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            here = (*path, f"f:{name}")
            if here not in fields:
                kept[name] = _remove(item, fields, inner, child(schema, name), here)
        return kept or None
    items: JsonObject = schema.get("items") or {}
    steps = ((*path, step_of(item, schema)) for item in value)
    left = [
        _remove(item, fields, inner, items, here)
        for here, item in zip(steps, value, strict=True)
        if here not in fields
    ]
    return left or None
