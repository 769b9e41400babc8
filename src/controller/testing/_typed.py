"""The check that an apply makes of its manifest before anything else: does it fit the schema?

An apply must know what every field is, to know who owns it. So unknown fields, wrong types and
items that cannot be told apart are refused, where an update would only warn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from ..types import JsonObject, ObjectKey, Resource
from ._fieldset import child, is_atomic, shown, step_of
from ._schema import INT_OR_STRING
from ._status import StatusError

_NUMBERS: Final = ("integer", "number")
_GO_TYPES: Final = {bool: "bool", int: "int64", float: "float64", str: "string"}
PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"


def check_manifest(
    manifest: JsonObject, schema: JsonObject, resource: Resource, key: ObjectKey
) -> None:
    """Refuse a manifest that does not fit.

    Errors: 500, as the server answers it.
    """
    problems = list(_problems(manifest, schema, ""))
    if problems:
        listed = problems[0] if len(problems) == 1 else "errors:\n" + "\n".join(_indented(problems))
        place = manifest["metadata"].get("namespace", "")
        raise StatusError(
            500,
            "",
            f"failed to create typed patch object ({place}/{key.name}; {resource.api_version}, "
            f"Kind={resource.kind}): {listed}",
        )


def _indented(problems: list[str]) -> Iterator[str]:
    return (f"  {problem}" for problem in problems)


def _problems(value: Any, schema: JsonObject, path: str) -> Iterator[str]:
    if value is None or not schema:
        return
    wanted = schema.get("type", "")
    if isinstance(value, list):
        yield from _list_problems(value, schema, path)
    elif isinstance(value, dict):
        yield from _map_problems(value, schema, path)
    else:
        problem = _scalar_problem(value, schema, wanted)
        if problem:
            yield f"{path}: {problem}"


def _scalar_problem(value: Any, schema: JsonObject, wanted: str) -> str:
    if wanted in ("array", "object"):
        name = {"array": "list", "object": "map"}[wanted]
        return f"expected {name}, got &{{{_go(value)}}}"
    if schema.get(INT_OR_STRING) or not wanted:
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in _NUMBERS and not number:
        return f"expected numeric (int or float), got {_GO_TYPES[type(value)]}"
    if wanted == "string" and not isinstance(value, str):
        return f"expected string, got &{{{_go(value)}}}"
    if wanted == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got &{{{_go(value)}}}"
    return ""


def _go(value: Any) -> str:
    """Return a value as Go prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(_go(item) for item in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


def _map_problems(value: JsonObject, schema: JsonObject, path: str) -> Iterator[str]:
    wanted = schema.get("type", "object")
    if wanted != "object":
        name = {"array": "list", "string": "string", "boolean": "boolean"}.get(wanted)
        got = f"&{{{_go(value)}}}"
        yield f"{path}: expected {name or 'numeric (int or float)'}, got {got}"
        return
    open_ended = schema.get(PRESERVE) or isinstance(schema.get("additionalProperties"), dict)
    known = schema.get("properties") or {}
    for name, item in value.items():
        if name in known or open_ended:
            yield from _problems(item, child(schema, name), f"{path}.{name}")
        else:
            yield f"{path}.{name}: field not declared in schema"


def _list_problems(value: list[Any], schema: JsonObject, path: str) -> Iterator[str]:
    wanted = schema.get("type", "array")
    if wanted != "array":
        name = {"object": "map", "string": "string", "boolean": "boolean"}.get(wanted)
        yield f"{path}: expected {name or 'numeric (int or float)'}, got &{{{_go(value)}}}"
        return
    keyed = not is_atomic(value, schema)
    items: JsonObject = schema.get("items") or {}
    seen: set[str] = set()
    for at, item in enumerate(value):
        step = _step(item, schema, at) if keyed else f"[{at}]"
        if step.startswith("element"):
            yield f"{path}: {step}"
            continue
        if keyed and step in seen:
            yield f"{path}: duplicate entries for key {step}"
        seen.add(step)
        yield from _problems(item, items, f"{path}{step}")


def _step(item: Any, schema: JsonObject, at: int) -> str:
    """Return the item's key in brackets, or what is wrong with it."""
    try:
        return shown((step_of(item, schema),))
    except KeyError:
        names = " ".join(json.dumps(name) for name in schema["x-kubernetes-list-map-keys"])
        return (
            f"element {at}: associative list with keys has an element that omits all key fields "
            f"[{names}] (and doesn't have default values for any key fields)"
        )
