"""The ways to patch an object: merge, JSON patch and strategic merge.

Each takes the stored object and returns a new one; none knows what the object means. Apply is in
a module of its own.
"""

from __future__ import annotations

from typing import Any, Final

from ..types import JsonObject
from ._fieldset import child
from ._status import StatusError, bad_request

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

_MERGE_KEYS: Final = {"ownerReferences": "uid"}
"""Lists of the built-in kinds that a strategic merge patch merges by a key."""
_MERGED_SETS: Final = frozenset({"finalizers"})
_GO_NAMES: Final = {dict: "object", list: "array", str: "string", bool: "bool"}
_DIRECTIVES: Final = ("$patch", "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge(target: Any, patch: Any, schema: JsonObject | None = None) -> Any:
    """Return the merge that kubectl uses on built-in kinds: as above, and keyed lists merge."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    known = schema or {}
    if "$retainKeys" in patch:
        merged = {key: value for key, value in merged.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            merged[field] = [item for item in merged.get(field) or () if item not in value]
        elif not key.startswith(_DIRECTIVES):
            _merge_field(merged, key, value, child(known, key))
    for directive, wanted in patch.items():
        field = directive.removeprefix("$setElementOrder/")
        if field != directive and merged.get(field):
            by = _merge_key(field, child(known, field))
            merged[field] = _reorder(merged[field], wanted, by, (target or {}).get(field) or [])
    return merged


def _merge_field(merged: JsonObject, key: str, value: Any, schema: JsonObject) -> None:
    old = merged.get(key)
    merge_key = _merge_key(key, schema)
    listed = isinstance(value, list)
    if value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
        merged.pop(key, None)
    elif listed and merge_key:
        merged[key] = _merge_list(old or [], value, merge_key, schema.get("items") or {})
    elif listed and (key in _MERGED_SETS or "x-kubernetes-patch-strategy" in schema):
        merged[key] = [*(old or ()), *(item for item in value if item not in (old or ()))]
    else:
        merged[key] = strategic_merge(old, value, schema)


def _merge_key(field: str, schema: JsonObject) -> str:
    found: str = schema.get("x-kubernetes-patch-merge-key") or _MERGE_KEYS.get(field, "")
    return found


def _merge_list(
    old: list[JsonObject], new: list[JsonObject], key: str, schema: JsonObject
) -> list[JsonObject]:
    if any(item.get("$patch") == "replace" for item in new):
        return [item for item in new if "$patch" not in item]
    by_key = {item.get(key): item for item in old}
    for item in new:
        if item.get("$patch") == "delete":
            by_key.pop(item.get(key), None)
        else:
            by_key[item.get(key)] = strategic_merge(by_key.get(item.get(key)), item, schema)
    return _reorder(list(by_key.values()), new, key, old)


def _reorder(items: list[Any], wanted: list[Any], key: str, before: list[Any]) -> list[Any]:
    """Put items into the order of a patch; the others keep their place where both were before.

    What is new in the patch goes ahead of what it does not name.
    """
    by_name = {_named(item, key): item for item in items}
    place = {_named(item, key): at for at, item in enumerate(before)}
    mine = [name for name in (_named(item, key) for item in wanted) if name in by_name]
    others = [name for name in by_name if name not in mine]
    order: list[Any] = []
    while mine and others:
        behind = mine[0] in place and place[mine[0]] > place[others[0]]
        order.append(others.pop(0) if behind else mine.pop(0))
    return [by_name[name] for name in (*order, *mine, *others)]


def _named(item: Any, key: str) -> Any:
    return item.get(key) if isinstance(item, dict) else item


def json_patch(target: Any, operations: Any) -> Any:
    """Return RFC 6902 with the server's leniencies: replace adds what an object lacks.

    Errors: 422 for an operation that fails, a failed test included; 400 for what is no patch.
    """
    if not isinstance(operations, list):
        raise unreadable(operations, "[]handlers.jsonPatchOp")
    root = {"": target}
    for operation in operations:
        if not isinstance(operation, dict):
            raise unreadable(operation, "handlers.jsonPatchOp")
        try:
            _operate(root, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise refused() from error
    return root[""]


def unreadable(value: Any, wanted: str) -> StatusError:
    """400 for a patch of the wrong type."""
    found = _GO_NAMES.get(type(value), "number")
    return bad_request(
        f"error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"
    )


def refused() -> StatusError:
    """422 of a JSON patch: the server says no more than this."""
    message = "the server rejected our request due to an error in our request"
    return StatusError(422, "Invalid", message, {})


def _operate(root: JsonObject, operation: JsonObject) -> None:
    name, path = operation["op"], operation["path"]
    if name in ("copy", "move"):
        source, at = _resolve(root, operation["from"])
        # what an object lacks is copied as null, but cannot be moved
        value = source.get(at) if isinstance(source, dict) else source[_index(source, at)]
        if name == "move":
            _remove(source, at)
        # resolved last: resolving makes fresh copies of the containers on the way
        _add(*_resolve(root, path), value)
        return
    parent, last = _resolve(root, path)
    if name == "test":
        _test(parent, last, operation.get("value"))
    elif name == "remove":
        _remove(parent, last)
    elif name == "add":
        _add(parent, last, operation.get("value"))
    elif name == "replace":
        _replace(parent, last, operation.get("value"))
    else:
        raise ValueError(name)


def _resolve(root: JsonObject, path: str) -> tuple[Any, str]:
    """Return the container of a path and the last step; the containers are fresh copies."""
    if not path.startswith("/"):
        raise ValueError(path)
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]
    parent: Any = root
    for step in steps[:-1]:
        at = _index(parent, step)
        child = parent[at]
        parent[at] = dict(child) if isinstance(child, dict) else list(child)
        parent = parent[at]
    return parent, steps[-1]


def _index(container: Any, step: str) -> Any:
    if not isinstance(container, list):
        return step
    if not step.isdigit():
        raise ValueError(step)
    return int(step)


def _test(parent: Any, last: str, expected: Any) -> None:
    try:
        found = parent[_index(parent, last)]
    except KeyError:
        found = None
    if found != expected or isinstance(found, bool) is not isinstance(expected, bool):
        raise ValueError(last)


def _remove(parent: Any, last: str) -> None:
    del parent[_index(parent, last)]


def _add(parent: Any, last: str, value: Any) -> None:
    if not isinstance(parent, list):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif (at := _index(parent, last)) <= len(parent):
        parent.insert(at, value)
    else:
        raise IndexError(last)


def _replace(parent: Any, last: str, value: Any) -> None:
    parent[_index(parent, last)] = value
