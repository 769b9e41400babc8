"""From the bytes of a request to an object: syntax, unknown and duplicate fields, types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..types import JsonObject, Resource
from . import _meta, _protobuf
from ._kinds import Kind
from ._prune import prune
from ._schema import type_name, validate
from ._status import (
    Cause,
    StatusError,
    bad_request,
    invalid,
    invalid_object,
    invalid_options,
    invalid_value,
    shown,
    unsupported,
    unsupported_media,
)

IGNORE: Final = "Ignore"
WARN: Final = "Warn"
STRICT: Final = "Strict"
BODY_TYPES: Final = ("application/json", "application/yaml", _protobuf.MEDIA)

_GO_TYPES: Final = {"integer": "int64", "boolean": "bool", "array": "[]interface {}"}
_GO_VALUES: Final = {"integer": "number", "boolean": "bool"}


@dataclass(slots=True)
class Decoded:
    """An object as it came, and what is to be said about it."""

    obj: JsonObject
    duplicates: list[str] = field(default_factory=list)


def field_validation(query: Mapping[str, str], options: str) -> str:
    """Return the level that a request asks for; servers warn unless told otherwise."""
    level = query.get("fieldValidation") or WARN
    if level not in (IGNORE, WARN, STRICT):
        allowed = ("", IGNORE, STRICT, WARN)
        raise invalid_options(options, unsupported("fieldValidation", level, allowed))
    return level


def decode_body(body: bytes | None, content_type: str, kind: Kind) -> Decoded:
    """Decode the object of a create or update.

    Errors: 415 for a media type that is not spoken, 400 for what does not parse.
    """
    media = content_type.split(";")[0].strip() or "application/json"
    if media not in BODY_TYPES:
        raise unsupported_media(BODY_TYPES)
    duplicates: list[str] = []
    unrecognized = f"the object provided is unrecognized (must be of type {kind.resource.kind}): "
    received = (body or b"<empty>").decode(errors="replace")
    try:
        if media == _protobuf.MEDIA:
            value = _protobuf.decode(body or b"")
        elif media == "application/yaml":
            value = load_yaml(body or b"")
        else:
            value = decode_json(body or b"", duplicates)
    except ValueError as error:
        raise bad_request(
            f"{unrecognized}couldn't get version/kind; json parse error: {error} ({received[:64]})"
        ) from error
    if not isinstance(value, dict):
        problem = f"json: cannot unmarshal {type_name(value)} into Go value"
        raise bad_request(f"{unrecognized}couldn't get version/kind; json parse error: {problem}")
    if kind.custom and not value.get("kind"):
        raise bad_request(f"{unrecognized}Object 'Kind' is missing in '{received}'")
    return Decoded(value, duplicates)


def load_yaml(body: bytes) -> Any:
    """Decode YAML (JSON included); PyYAML is only loaded by those who send it."""
    import yaml

    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Pairs(dict[str, Any]):
    """An object that remembers which of its keys came twice."""

    twice: tuple[str, ...] = ()


def decode_json(body: bytes, duplicates: list[str]) -> Any:
    """Decode JSON, or raise ValueError; paths of fields that came twice are added to a list."""

    def build(pairs: list[tuple[str, Any]]) -> JsonObject:
        built = _Pairs(pairs)
        if len(built) < len(pairs):
            names = [name for name, _ in pairs]
            built.twice = tuple(sorted({name for name in names if names.count(name) > 1}))
        return built

    try:
        value = json.loads(body, object_pairs_hook=build, parse_float=_number)
    except json.JSONDecodeError as error:
        if error.doc[error.pos :].strip() in ("", "{", "["):
            raise ValueError("unexpected end of JSON input") from error
        raise
    return _plain(value, "", duplicates)


def _number(text: str) -> float:
    """Return a number as the server keeps it: a whole one has no fraction."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _plain(value: Any, path: str, duplicates: list[str]) -> Any:
    if isinstance(value, list):
        return [_plain(item, f"{path}[{at}]", duplicates) for at, item in enumerate(value)]
    if not isinstance(value, _Pairs):
        return value
    start = f"{path}." if path else ""
    duplicates += [f"{start}{name}" for name in value.twice]
    return {key: _plain(item, f"{start}{key}", duplicates) for key, item in value.items()}


def settle(
    decoded: Decoded, kind: Kind, level: str, *, patch: bool = False
) -> tuple[JsonObject, list[str]]:
    """Check types, drop unknown fields, and return the object with the warnings about it.

    Errors: 400 for a wrong apiVersion or a built-in field of a wrong type, and in Strict for
    every unknown or duplicate field; 422 for a wrong kind.
    """
    obj = decoded.obj
    _check_type_meta(obj, kind, patch=patch)
    problems = [f'duplicate field "{path}"' for path in decoded.duplicates]
    try:
        _check_go_types(obj, kind)
    except _Mistyped as error:
        raise _refused(obj, kind.resource, str(error), patch=patch) from error
    meta_lost = prune(obj["metadata"], _meta.SCHEMA, root=False)
    if kind.schema is not None:
        problems += [f'unknown field "{path}"' for path in prune(obj, kind.schema)]
    problems += [f'unknown field "metadata.{path}"' for path in meta_lost]
    if level == STRICT and problems:
        problem = f"strict decoding error: {', '.join(problems)}"
        raise _refused(obj, kind.resource, problem, patch=patch)
    return obj, problems if level == WARN else []


class _Mistyped(Exception):
    """A field has a type that the server's own structs cannot hold."""


def _refused(obj: JsonObject, resource: Resource, problem: str, *, patch: bool) -> StatusError:
    if patch:
        return invalid("", "", "", [invalid_value("patch", shown(obj), problem)])
    kind = resource.kind
    return bad_request(
        f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {problem}'
    )


def _check_type_meta(obj: JsonObject, kind: Kind, *, patch: bool) -> None:
    resource = kind.resource
    version, name = obj.get("apiVersion", ""), obj.get("kind", "")
    if not kind.custom:
        version, name = version or resource.api_version, name or resource.kind
    if version != resource.api_version and patch:
        wrong = Resource(version.rpartition("/")[0], "", resource.plural, name)
        cause = invalid_value("apiVersion", version, f"must be {resource.api_version}")
        raise invalid_object(wrong, _meta.name_of(obj), [cause])
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if name != resource.kind:
        wrong = Resource(resource.group, resource.version, resource.plural, name)
        cause = invalid_value("kind", name, f"must be {resource.kind}")
        raise invalid_object(wrong, _meta.name_of(obj), [cause])
    obj["apiVersion"], obj["kind"] = version, name


def _check_go_types(obj: JsonObject, kind: Kind) -> None:
    """Check what is decoded before any schema: metadata, and all of a built-in kind."""
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    if not isinstance(obj["metadata"], dict):
        where = f"{kind.resource.kind}.metadata"
        raise _Mistyped(_cannot(type_name(obj["metadata"]), where, "v1.ObjectMeta"))
    _check_types(obj["metadata"], _meta.SCHEMA, "ObjectMeta")
    if kind.schema is not None and not kind.custom:
        _check_types(obj, kind.schema, kind.resource.kind)


def _check_types(value: JsonObject, schema: JsonObject, where: str) -> None:
    for cause in validate(value, schema):
        if cause.reason == "FieldValueTypeInvalid" and '"null"' not in cause.message:
            _raise_mistyped(cause, where)


def _raise_mistyped(cause: Cause, where: str) -> None:
    found = cause.message.split('"')[1]
    wanted = cause.message.split(" must be of type ")[1].split(":")[0]
    if wanted not in ("string", "integer", "boolean", "array", "object"):
        return  # a format: only a schema of a definition checks it
    path = cause.field.rpartition(".")[0] if _is_map_entry(cause.field) else cause.field
    raise _Mistyped(
        _cannot(_GO_VALUES.get(found, found), f"{where}.{path}", _GO_TYPES.get(wanted, wanted))
    )


def _is_map_entry(path: str) -> bool:
    first, dot, _ = path.partition(".")
    return bool(dot) and first in ("labels", "annotations", "data", "stringData", "binaryData")


def _cannot(found: str, where: str, wanted: str) -> str:
    return f"json: cannot unmarshal {found} into Go struct field {where} of type {wanted}"
