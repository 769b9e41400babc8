"""Validation by a structural schema, complaint by complaint as the server words it.

On updates a value that did not change is not looked at again: a stricter schema must not block
every later write to old objects ("ratcheting").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from ..types import JsonObject
from . import _formats
from ._status import Cause, invalid_value, required, shown, unsupported

MISSING: Final = object()
"""The old value where there is none; None would be a JSON null."""
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
BLOCKING: Final = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
"""Complaints after which the server evaluates no CEL rule of the object."""


def validate(value: Any, schema: JsonObject, path: str = "", old: Any = MISSING) -> list[Cause]:
    """Return everything about ``value`` that the schema refuses."""
    if old is not MISSING and old == value:
        return []
    if value is None and schema.get("nullable"):
        return []
    wrong_type = _type_cause(value, schema, path)
    if wrong_type is not None:
        return [wrong_type]
    causes = [*_enum(value, schema, path), *_junctions(value, schema, path)]
    if isinstance(value, str):
        causes += _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        causes += _number(value, schema, path)
    elif isinstance(value, list):
        causes += _array(value, schema, path, old)
    elif isinstance(value, dict):
        causes += _object(value, schema, path, old)
    return causes


def type_name(value: Any) -> str:
    """Return the JSON schema type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return names[type(value)]


def _type_cause(value: Any, schema: JsonObject, path: str) -> Cause | None:
    found = type_name(value)
    if schema.get(INT_OR_STRING):
        wanted, fits = "integer,string", found in ("integer", "string")
    else:
        wanted = schema.get("type", "")
        fits = not wanted or found == wanted or _widened(value, found, wanted)
    if fits:
        return None
    problem = f"{path} in body must be of type {wanted}: {shown(found)}"
    return invalid_value(path, found, problem, "FieldValueTypeInvalid")


def _widened(value: Any, found: str, wanted: str) -> bool:
    if wanted == "number":
        return found == "integer"
    return wanted == "integer" and found == "number" and float(value).is_integer()


def _enum(value: Any, schema: JsonObject, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        yield unsupported(path, value, allowed)


def _string(value: str, schema: JsonObject, path: str) -> Iterator[Cause]:
    first = _string_cause(value, schema, path)
    if first is not None:
        yield first
    format_ = schema.get("format", "")
    if format_ and not _formats.passes(format_, value):
        problem = f"{path} in body must be of type {format_}: {shown(value)}"
        yield invalid_value(path, value, problem, "FieldValueTypeInvalid")


def _string_cause(value: str, schema: JsonObject, path: str) -> Cause | None:
    """Return the first complaint about length or pattern: the server stops there."""
    if len(value) > schema.get("maxLength", len(value)):
        return Cause(path, f"Too long: may not be more than {schema['maxLength']} bytes")
    if len(value) < schema.get("minLength", 0):
        problem = f"{path} in body should be at least {schema['minLength']} chars long"
        return invalid_value(path, value, problem)
    pattern = schema.get("pattern")
    if pattern and not _compiled(pattern).search(value):
        return invalid_value(path, value, f"{path} in body should match '{pattern}'")
    return None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(r"\z", r"\Z"))


def _number(value: float, schema: JsonObject, path: str) -> Iterator[Cause]:
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    below, above = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if step and value % step:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {step}")
    if low is not None and (value <= low if below else value < low):
        bound = "greater than" if below else "greater than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {bound} {low}")
    if high is not None and (value >= high if above else value > high):
        bound = "less than" if above else "less than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {bound} {high}")


def _array(value: list[Any], schema: JsonObject, path: str, old: Any) -> list[Cause]:
    causes = list(_count(len(value), schema, path, "Items", "items"))
    items = schema.get("items")
    if isinstance(items, dict):
        for at, item in enumerate(value):
            before = _correlated(old, item, at, schema)
            causes += validate(item, items, f"{path}[{at}]", before)
    return causes + list(_duplicates(value, schema, path))


def _correlated(old: Any, item: Any, at: int, schema: JsonObject) -> Any:
    """Return the old item that is compared with this one: by key in maps, else by place."""
    if not isinstance(old, list):
        return MISSING
    if schema.get("x-kubernetes-list-type") == "map" and isinstance(item, dict):
        keys = schema.get("x-kubernetes-list-map-keys") or []
        for other in old:
            if isinstance(other, dict) and all(other.get(k) == item.get(k) for k in keys):
                return other
        return MISSING
    return old[at] if at < len(old) else MISSING


def _count(size: int, schema: JsonObject, path: str, what: str, unit: str) -> Iterator[Cause]:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if most is not None and size > most:
        plural = "" if most == 1 else "s"
        yield Cause(path, f"Too many: {size}: must have at most {most} item{plural}")
    if least is not None and size < least:
        yield invalid_value(path, size, f"{path} in body should have at least {least} {unit}")


def _duplicates(value: list[Any], schema: JsonObject, path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or []
    seen: list[Any] = []
    for at, item in enumerate(value):
        identity = item
        if kind == "map":
            fields = item if isinstance(item, dict) else {}
            identity = {key: fields.get(key) for key in keys if key in fields}
        if identity in seen:
            yield Cause(f"{path}[{at}]", f"Duplicate value: {shown(identity)}")
        seen.append(identity)


def _object(value: JsonObject, schema: JsonObject, path: str, old: Any) -> list[Cause]:
    causes = list(_count(len(value), schema, path, "Properties", "properties"))
    missing = (name for name in schema.get("required") or () if name not in value)
    causes += [required(f"{path}.{name}" if path else name) for name in missing]
    if schema.get(EMBEDDED):
        untyped = (name for name in ("apiVersion", "kind") if not value.get(name))
        causes += [required(f"{path}.{name}") for name in untyped]
    before = old if isinstance(old, dict) else {}
    properties = schema.get("properties") or {}
    additional = schema.get("additionalProperties")
    for key, item in value.items():
        child = properties.get(key, additional)
        if isinstance(child, dict):
            here = f"{path}.{key}" if path else key
            causes += validate(item, child, here, before.get(key, MISSING))
    return causes


def _junctions(value: Any, schema: JsonObject, path: str) -> Iterator[Cause]:
    every = [validate(value, branch, path) for branch in schema.get("allOf") or ()]
    yield from (cause for causes in every for cause in causes)
    if any(every):
        none = ". None validated" if all(every) else ""
        yield _junction(path, f"must validate all the schemas (allOf){none}")
    if not schema.get(INT_OR_STRING):
        yield from _any_of(value, schema.get("anyOf") or (), path)
    yield from _one_of(value, schema.get("oneOf") or (), path)
    if "not" in schema and not validate(value, schema["not"], path):
        yield _junction(path, "must not validate the schema (not)")


def _any_of(value: Any, branches: Sequence[JsonObject], path: str) -> Iterator[Cause]:
    failures = [validate(value, branch, path) for branch in branches]
    if failures and all(failures):
        yield _junction(path, "must validate at least one schema (anyOf)")
        yield from failures[0]


def _one_of(value: Any, branches: Sequence[JsonObject], path: str) -> Iterator[Cause]:
    failures = [validate(value, branch, path) for branch in branches]
    fitting = sum(not causes for causes in failures)
    if failures and fitting != 1:
        found = f"{fitting} valid alternatives" if fitting else "none valid"
        yield _junction(path, f"must validate one and only one schema (oneOf). Found {found}")
        yield from () if fitting else failures[0]


def _junction(path: str, problem: str) -> Cause:
    return invalid_value("<nil>", "", f'"{path}" {problem}')
