"""The schemas of workloads, as a real server describes them (``workloads.json``).

They say which fields there are and how lists merge; what values are allowed is in the rules of
each kind.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from ..types import JsonObject
from . import _meta
from ._quantity import canonical


@cache
def _types() -> JsonObject:
    raw = files(__package__).joinpath("workloads.json").read_bytes()
    types: JsonObject = msgspec.json.decode(raw)
    return {**types, "ObjectMeta": _meta.SCHEMA}


@cache
def schema_of(name: str) -> JsonObject:
    """Return the schema of a type with all that it refers to; parts are shared, not copied."""
    resolved: JsonObject = _resolved(_types()[name])
    return resolved


def _resolved(schema: Any) -> Any:
    if isinstance(schema, list):
        return schema
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return {**schema_of(schema["$ref"]), **rest}
    found = dict(schema)
    if "properties" in schema:
        found["properties"] = {n: _resolved(child) for n, child in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            found[name] = _resolved(schema[name])
    return found


def normalise(value: Any, schema: JsonObject) -> None:
    """Fill in the defaults of fields and write quantities in their canonical form, in place."""
    if isinstance(value, list):
        items: JsonObject = schema.get("items") or {}
        for at, item in enumerate(value):
            value[at] = _normal(item, items)
    elif isinstance(value, dict):
        properties: JsonObject = schema.get("properties") or {}
        for name, child in properties.items():
            if "default" in child and name not in value:
                value[name] = child["default"]
        rest: JsonObject = schema.get("additionalProperties") or {}
        for name in list(value):
            if value[name] is None:
                del value[name]  # null is no value in a typed object
            else:
                value[name] = _normal(value[name], properties.get(name, rest))


def _normal(value: Any, schema: JsonObject) -> Any:
    if schema.get("x-quantity"):
        return canonical(value)
    if schema.get("properties") or schema.get("items") or schema.get("additionalProperties"):
        normalise(value, schema)
    return value
