"""What is special about the built-in kinds: normalisation, validation, table cells."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..types import JsonObject
from ._names import config_key_problems
from ._status import Cause, bad_request, forbidden_value, invalid_value

Age = Callable[[str], str]

MICRO_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+(Z|[+-]\d{2}:\d{2})")
"""A time with a fraction of a second: leases refuse one without."""
IMMUTABLE: Final = "field is immutable when `immutable` is set"


def prepare_namespace(obj: JsonObject, old: JsonObject | None) -> None:
    """Label a namespace with its name, and give it the finalizer and phase of a live one."""
    meta = obj["metadata"]
    name = meta.get("name", "")
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": name}
    if old is None:
        obj["spec"] = {"finalizers": ["kubernetes"]}
        obj["status"] = {"phase": "Active"}
    else:
        obj["spec"] = old["spec"]


def terminate_namespace(obj: JsonObject) -> None:
    """Begin the end of a namespace."""
    obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}


def namespace_cells(obj: JsonObject, age: Age) -> list[Any]:
    """Return name, phase, age."""
    return [obj["metadata"]["name"], obj["status"]["phase"], age(_created(obj))]


def prepare_secret(obj: JsonObject, old: JsonObject | None) -> None:
    """Fold ``stringData`` into ``data`` and set the default type.

    Errors: 400 for data that is not base64, as for any other malformed field.
    """
    data = {key: value or "" for key, value in (obj.get("data") or {}).items()}
    for value in data.values():
        _check_base64(value, "Secret")
    for key, text in (obj.pop("stringData", None) or {}).items():
        data[key] = base64.b64encode((text or "").encode()).decode()
    obj.pop("data", None)
    if data:
        obj["data"] = data
    obj["type"] = obj.get("type") or "Opaque"


def _check_base64(value: str, kind: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        at = next((at for at, char in enumerate(value) if not _is_base64(char)), len(value))
        raise bad_request(
            f'{kind} in version "v1" cannot be handled as a {kind}: '
            f"illegal base64 data at input byte {at}"
        ) from error


def _is_base64(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "+/=")


def check_secret(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check keys, the fixed type, and what ``immutable`` fixes."""
    causes = _key_causes(obj, "data")
    if old is not None:
        if obj["type"] != old["type"]:
            causes.append(invalid_value("type", obj["type"], "field is immutable"))
        causes += _immutable_causes(obj, old, ("data",))
    return causes


def prepare_config_map(obj: JsonObject, old: JsonObject | None) -> None:
    """Turn nulls among the values into empty ones."""
    for name in ("data", "binaryData"):
        if obj.get(name):
            obj[name] = {key: value or "" for key, value in obj[name].items()}


def check_config_map(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check keys, binary data, and what ``immutable`` fixes."""
    for value in (obj.get("binaryData") or {}).values():
        _check_base64(value, "ConfigMap")
    causes = _key_causes(obj, "data") + _key_causes(obj, "binaryData")
    for key in sorted((obj.get("data") or {}).keys() & (obj.get("binaryData") or {}).keys()):
        causes.append(invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
    if old is not None:
        causes += _immutable_causes(obj, old, ("data", "binaryData"))
    return causes


def _key_causes(obj: JsonObject, field: str) -> list[Cause]:
    return [
        invalid_value(f"{field}[{key}]", key, problem)
        for key in obj.get(field) or ()
        for problem in config_key_problems(key)
    ]


def _immutable_causes(obj: JsonObject, old: JsonObject, fields: Sequence[str]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    changed = [name for name in fields if obj.get(name) != old.get(name)]
    if not obj.get("immutable"):
        changed.insert(0, "immutable")
    return [forbidden_value(name, IMMUTABLE) for name in changed]


def secret_cells(obj: JsonObject, age: Age) -> list[Any]:
    """Return name, type, number of keys, age."""
    count = len(obj.get("data") or ())
    return [obj["metadata"]["name"], obj["type"], count, age(_created(obj))]


def config_map_cells(obj: JsonObject, age: Age) -> list[Any]:
    """Return name, number of keys, age."""
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [obj["metadata"]["name"], count, age(_created(obj))]


def service_account_cells(obj: JsonObject, age: Age) -> list[Any]:
    """Return name, number of secrets, age."""
    return [obj["metadata"]["name"], len(obj.get("secrets") or ()), age(_created(obj))]


def prepare_lease(obj: JsonObject, old: JsonObject | None) -> None:
    """Give a lease its spec, and refuse times that are none."""
    spec = obj.setdefault("spec", {})
    for name in ("acquireTime", "renewTime"):
        value = spec.get(name)
        if value is not None and not MICRO_TIME.fullmatch(value):
            raise bad_request(
                'Lease in version "v1" cannot be handled as a Lease: parsing time '
                f'"{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{value}" '
                'as "2006"'
            )


def check_lease(obj: JsonObject, old: JsonObject | None) -> Sequence[Cause]:
    """Check the numbers of a lease."""
    spec = obj["spec"]
    causes = []
    if spec.get("leaseDurationSeconds", 1) <= 0:
        value = spec["leaseDurationSeconds"]
        problem = "must be greater than 0"
        causes.append(invalid_value("spec.leaseDurationSeconds", value, problem))
    if spec.get("leaseTransitions", 0) < 0:
        value = spec["leaseTransitions"]
        problem = "must be greater than or equal to 0"
        causes.append(invalid_value("spec.leaseTransitions", value, problem))
    return causes


def lease_cells(obj: JsonObject, age: Age) -> list[Any]:
    """Return name, holder, age."""
    holder = obj["spec"].get("holderIdentity", "")
    return [obj["metadata"]["name"], holder, age(_created(obj))]


def _created(obj: JsonObject) -> str:
    return str(obj["metadata"].get("creationTimestamp", ""))
