"""Drops what a structural schema does not know, and fills in its defaults."""

from __future__ import annotations

from typing import Any, Final

from ..types import JsonObject
from . import _meta
from ._storage import copy

PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
ROOT_FIELDS: Final = ("apiVersion", "kind", "metadata")


def prune(value: Any, schema: JsonObject, path: str = "", *, root: bool = True) -> list[str]:
    """Remove unknown fields in place and return their paths in the order of the document."""
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return []
        lost = []
        for at, item in enumerate(value):
            lost += prune(item, items, f"{path}[{at}]", root=False)
        return lost
    if not isinstance(value, dict):
        return []
    return _prune_object(value, schema, path, root or bool(schema.get(EMBEDDED)))


def _prune_object(value: JsonObject, schema: JsonObject, path: str, root: bool) -> list[str]:
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    lost: list[str] = []
    for key in list(value):
        here = f"{path}.{key}" if path else key
        if key in properties and not (root and key in ROOT_FIELDS and not path):
            lost += prune(value[key], properties[key], here, root=False)
        elif root and key in ROOT_FIELDS:
            if path and key == "metadata":
                lost += prune(value[key], _meta.SCHEMA, here, root=False)
        elif isinstance(additional, dict):
            lost += prune(value[key], additional, here, root=False)
        elif not additional and not schema.get(PRESERVE):
            del value[key]
            lost.append(here)
    return lost


def fill_defaults(value: Any, schema: JsonObject) -> None:
    """Set missing fields to their defaults in place; null where it is not allowed is missing."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            fill_defaults(item, schema["items"])
    elif isinstance(value, dict):
        properties: JsonObject = schema.get("properties") or {}
        for key, child in properties.items():
            _fill_field(value, key, child)
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            for key in value.keys() - properties.keys():
                _fill_field(value, key, additional)


def _fill_field(value: JsonObject, key: str, schema: JsonObject) -> None:
    if key in value and value[key] is None and not schema.get("nullable"):
        del value[key]
    if key not in value and "default" in schema:
        value[key] = copy({"": schema["default"]})[""]
    if key in value:
        fill_defaults(value[key], schema)
