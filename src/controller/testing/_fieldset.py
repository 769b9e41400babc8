"""Sets of fields: which parts of an object somebody owns, and how objects differ.

A path is a tuple of steps as ``fieldsV1`` spells them: ``f:name`` for a field, ``k:{...}`` for an
item of a keyed list, ``v:...`` for an item of a set. How deep a path goes is up to the schema:
maps and keyed lists are taken apart, atomic lists and maps are one field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from ..types import JsonObject

Path = tuple[str, ...]
FieldSet = frozenset[Path]

EMPTY: Final[FieldSet] = frozenset()
SELF: Final = "."
"""The step that stands for the container itself in ``fieldsV1``."""
MISSING: Final = object()
"""No value: not even null."""


class Difference(NamedTuple):
    """What one object has that another has not, and what they have in different ways."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet


def encode(fields: FieldSet) -> JsonObject:
    """Return a set as ``fieldsV1``."""
    root: JsonObject = {}
    for path in sorted(fields):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node[SELF] = {}
    return _folded(root)


def _folded(node: JsonObject) -> JsonObject:
    """Leave out the mark of a field that has no others below it."""
    if node.keys() == {SELF}:
        return {}
    return {step: child if step == SELF else _folded(child) for step, child in node.items()}


def decode(fields: JsonObject) -> FieldSet:
    """Return the set that ``fieldsV1`` holds."""
    return frozenset(_decoded(fields, ()))


def _decoded(fields: JsonObject, path: Path) -> Iterator[Path]:
    for step, child in fields.items():
        if step == SELF:
            yield path
        elif not child:
            yield (*path, step)
        else:
            yield from _decoded(child, (*path, step))


def shown(path: Path) -> str:
    """Return a path as conflicts name it: ``.spec.ports[containerPort=80].name``."""
    return "".join(_shown_step(step) for step in path)


def _shown_step(step: str) -> str:
    mark, text = step[0], step[2:]
    if mark == "f":
        return f".{text}"
    if mark == "v":
        return f"[={text}]"
    keys: JsonObject = json.loads(text)
    return "[" + ",".join(f"{name}={_compact(value)}" for name, value in keys.items()) + "]"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def is_atomic(value: Any, schema: JsonObject) -> bool:
    """Whether a value is one field, whatever is in it."""
    if isinstance(value, dict):
        return schema.get("x-kubernetes-map-type") == "atomic"
    if isinstance(value, list):
        return schema.get("x-kubernetes-list-type") not in ("map", "set")
    return True


def child(schema: JsonObject, name: str) -> JsonObject:
    """Return the schema of a field, empty where nothing is known of it."""
    found = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else {}


def is_named(schema: JsonObject, name: str) -> bool:
    """Whether the schema knows a field by its name: a part of a structure, no key of a map."""
    return name in (schema.get("properties") or {})


def step_of(item: Any, schema: JsonObject) -> str:
    """Return the step that names an item of a keyed list or a set.

    Errors: KeyError for a key that the item lacks and that has no default.
    """
    if schema.get("x-kubernetes-list-type") == "set":
        return f"v:{_compact(item)}"
    items: JsonObject = schema.get("items") or {}
    fields = item if isinstance(item, dict) else {}
    keys = {}
    for name in sorted(schema.get("x-kubernetes-list-map-keys") or ()):
        key_schema = child(items, name)
        keys[name] = fields[name] if "default" not in key_schema else _keyed(fields, name, items)
    return f"k:{_compact(keys)}"


def _keyed(fields: JsonObject, name: str, items: JsonObject) -> Any:
    return fields.get(name, child(items, name)["default"])


def parts(value: Any, schema: JsonObject) -> Iterator[tuple[str, Any, JsonObject]]:
    """Yield step, value and schema of everything in a map or keyed list."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"f:{name}", item, child(schema, name)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield _step_or_place(item, schema, at), item, schema.get("items") or {}


def _step_or_place(item: Any, schema: JsonObject, at: int) -> str:
    """Return the step of an item; one without its key is refused later, and named by its place."""
    try:
        return step_of(item, schema)
    except KeyError:
        return f"i:{at}"


def fields_of(value: Any, schema: JsonObject, path: Path = ()) -> Iterator[Path]:
    """Yield every field that a manifest names."""
    if is_atomic(value, schema):
        yield path
        return
    for step, item, item_schema in parts(value, schema):
        here = (*path, step)
        yield from fields_of(item, item_schema, here)
        whole = item is None or item == {}
        if whole or step[0] != "f" or not is_named(schema, step[2:]):
            yield here


def compare(old: Any, new: Any, schema: JsonObject) -> Difference:
    """Return how ``new`` differs from ``old``, field by field."""
    found: dict[str, set[Path]] = {"added": set(), "modified": set(), "removed": set()}
    _compare(old, new, schema, (), found)
    return Difference(*(frozenset(paths) for paths in found.values()))


def _compare(
    old: Any, new: Any, schema: JsonObject, path: Path, found: dict[str, set[Path]]
) -> None:
    if old is not MISSING and new is not MISSING and old == new:
        return
    if old is MISSING:
        found["added"].add(path)
    elif new is MISSING:
        found["removed"].add(path)
    if _is_leaf(old, new, schema):
        if old is not MISSING and new is not MISSING:
            found["modified"].add(path)
        return
    before, after = _indexed(old, schema), _indexed(new, schema)
    for step in before | after:
        was, is_ = before.get(step), after.get(step)
        of_step = (was or is_ or (None, {}))[1]
        values = (MISSING if was is None else was[0], MISSING if is_ is None else is_[0])
        _compare(*values, of_step, (*path, step), found)


def _is_leaf(old: Any, new: Any, schema: JsonObject) -> bool:
    """Whether a difference is one of the value as a whole: an empty container is a value too."""
    given = [value for value in (old, new) if value not in (MISSING, None)]
    filled = [value for value in given if value not in ({}, [])]
    if not filled or any(is_atomic(value, schema) for value in given):
        return True
    return len({type(value) for value in filled}) > 1


def _indexed(value: Any, schema: JsonObject) -> dict[str, tuple[Any, JsonObject]]:
    if value is MISSING or value is None:
        return {}
    return {step: (item, item_schema) for step, item, item_schema in parts(value, schema)}


def with_structures(fields: FieldSet, schema: JsonObject) -> FieldSet:
    """Return the set with every structure on the way to its fields."""
    return fields | frozenset(_structures(fields, schema))


def _structures(fields: Iterable[Path], schema: JsonObject) -> Iterator[Path]:
    for path in fields:
        here = schema
        for at, step in enumerate(path[:-1]):
            if step[0] != "f":
                here = here.get("items") or {}
                continue
            if is_named(here, step[2:]):
                yield path[: at + 1]
            here = child(here, step[2:])


def without(fields: FieldSet, prefixes: Iterable[Path]) -> FieldSet:
    """Return the set without everything below some prefixes."""
    dropped = tuple(prefixes)
    if not dropped:
        return fields
    return frozenset(p for p in fields if not any(p[: len(d)] == d for d in dropped))
