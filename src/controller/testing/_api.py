"""The verbs: from a request about objects to its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ..types import JsonObject, ObjectKey
from . import _meta, _patch
from ._apply import apply, writer
from ._decode import Decoded, decode_body, decode_json, field_validation, settle
from ._lists import list_objects, too_large
from ._objects import NAMESPACES, Objects, check_name
from ._request import Answer, Call, DeleteOptions
from ._status import (
    bad_request,
    details_of,
    forbidden_value,
    invalid_options,
    method_not_allowed,
    not_found,
    unsupported_media,
)

BUILT_IN_PATCHES: Final = (_patch.JSON_PATCH, _patch.MERGE, _patch.STRATEGIC, _patch.APPLY)
CUSTOM_PATCHES: Final = (_patch.JSON_PATCH, _patch.MERGE, _patch.APPLY)


def handle(objects: Objects, call: Call) -> Answer:
    """Carry out a request about objects (watches apart).

    Errors: :class:`~._status.StatusError` for every refusal.
    """
    verbs = _NAMED if call.target.name else _COLLECTION
    verb = verbs.get(call.method)
    if verb is None:
        raise method_not_allowed()
    _check_subresource(call)
    return verb(objects, call)


def _check_subresource(call: Call) -> None:
    target = call.target
    served = (
        not target.subresource
        or (target.subresource == "status" and target.kind.has_status)
        or (target.subresource == "finalize" and target.kind.stored_as == NAMESPACES)
    )
    if not served:
        raise not_found(target.kind.resource, target.name)


def _get(objects: Objects, call: Call) -> Answer:
    kind, wanted = call.target.kind, call.query.get("resourceVersion", "")
    if wanted.isdigit() and int(wanted) > objects.storage.version:
        raise too_large(int(wanted), objects.storage.version)
    return Answer(200, kind.show(objects.get(kind, call.target.key)))


def _list(objects: Objects, call: Call) -> Answer:
    kind = call.target.kind
    items, meta = list_objects(objects.storage, call)
    if kind.custom:
        meta = {"continue": "", **meta}
    else:
        items = [_untyped(item) for item in items]
    body: JsonObject = {
        "kind": kind.list_name,
        "apiVersion": kind.resource.api_version,
        "metadata": meta,
        "items": items,
    }
    return Answer(200, body)


def _untyped(obj: JsonObject) -> JsonObject:
    """Return an item as lists of built-in kinds hold it: without kind and apiVersion."""
    return {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}


def _create(objects: Objects, call: Call) -> Answer:
    target = call.target
    kind = target.kind
    if kind.resource.namespaced and not target.namespace:
        raise method_not_allowed()
    dry_run = call.dry_run("CreateOptions")
    level = field_validation(call.query, "CreateOptions")
    decoded = decode_body(call.body, call.headers.get("content-type", ""), kind)
    obj, warnings = settle(decoded, kind, level)
    by = writer(call, "CreateOptions")
    made = objects.create(kind, target.namespace, kind.store(obj), by=by, dry_run=dry_run)
    return Answer(201, kind.show(made), (*warnings, *_finalizer_warnings(obj)))


def _finalizer_warnings(obj: JsonObject) -> list[str]:
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name to avoid '
        "accidental conflicts with other finalizer writers"
        for name in obj["metadata"].get("finalizers") or ()
        if "/" not in name and name not in (_meta.FOREGROUND, _meta.ORPHAN)
    ]


def _update(objects: Objects, call: Call) -> Answer:
    kind = call.target.kind
    level = field_validation(call.query, "UpdateOptions")
    dry_run = call.dry_run("UpdateOptions")
    decoded = decode_body(call.body, call.headers.get("content-type", ""), kind)
    obj, warnings = settle(decoded, kind, level)
    if call.target.subresource == "finalize":
        return _finalize(objects, call, obj)
    missing = objects.storage.get(kind.stored_as, call.target.key) is None
    if missing and kind.create_on_update and not call.target.subresource:
        check_name(obj, call.target.key)
        place, by = call.target.namespace, writer(call, "UpdateOptions")
        made = objects.create(kind, place, kind.store(obj), by=by, dry_run=dry_run)
        return Answer(201, kind.show(made), tuple(warnings))
    updated = objects.update(
        kind,
        call.target.key,
        lambda _: kind.store(obj),
        subresource=call.target.subresource,
        by=writer(call, "UpdateOptions"),
        dry_run=dry_run,
    )
    return Answer(200, kind.show(updated), tuple(warnings))


def _finalize(objects: Objects, call: Call, obj: JsonObject) -> Answer:
    """End a namespace by hand, as scripts do that take its finalizer away."""
    kind, key = call.target.kind, call.target.key
    old = objects.get(kind, key)
    spec = {name: value for name, value in (obj.get("spec") or {}).items() if value}
    if old["metadata"].get("deletionTimestamp") and not spec.get("finalizers"):
        objects.drop(kind, key)
    return Answer(200, {**old, "spec": spec})


def _patch_object(objects: Objects, call: Call) -> Answer:
    kind = call.target.kind
    media = call.headers.get("content-type", "").split(";")[0].strip()
    accepted = CUSTOM_PATCHES if kind.custom else BUILT_IN_PATCHES
    if media not in accepted:
        raise unsupported_media(accepted)
    level = field_validation(call.query, "PatchOptions")
    dry_run = call.dry_run("PatchOptions")
    warnings: list[str] = []
    if media == _patch.APPLY:

        def settled(merged: Decoded) -> JsonObject:
            return _changed(merged, call, level, warnings)

        answer = apply(objects, call, settled, dry_run=dry_run)
        return replace(answer, warnings=tuple(warnings))
    if "force" in call.query:
        problem = "may not be specified for non-apply patch"
        raise invalid_options("PatchOptions", forbidden_value("force", problem))
    duplicates: list[str] = []
    body = _patch_body(call.body, duplicates)
    merges: dict[str, Callable[[Any, Any], Any]] = {
        _patch.JSON_PATCH: _patch.json_patch,
        _patch.MERGE: _patch.merge_patch,
        _patch.STRATEGIC: partial(_patch.strategic_merge, schema=kind.schema),
    }
    merge = merges[media]

    def change(stored: JsonObject) -> JsonObject:
        merged = Decoded(merge(kind.show(stored), body), list(duplicates))
        return _changed(merged, call, level, warnings)

    return _updated(objects, call, change, warnings, dry_run=dry_run)


def _patch_body(body: bytes | None, duplicates: list[str]) -> Any:
    try:
        return decode_json(body or b"", duplicates)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def _changed(merged: Decoded, call: Call, level: str, warnings: list[str]) -> JsonObject:
    kind = call.target.kind
    if not isinstance(merged.obj, dict):
        raise _patch.unreadable(merged.obj, "map[string]interface {}")
    if not _meta.name_of(merged.obj):
        raise bad_request(
            f"the name of the object ({call.target.name} based on URL) was undeterminable: name "
            "must be provided"
        )
    obj, problems = settle(merged, kind, level, patch=True)
    warnings += [*problems, *_finalizer_warnings(obj)]
    return kind.store(obj)


def _updated(
    objects: Objects,
    call: Call,
    change: Callable[[JsonObject], JsonObject],
    warnings: list[str],
    *,
    dry_run: bool,
) -> Answer:
    target = call.target
    updated = objects.update(
        target.kind,
        target.key,
        change,
        subresource=target.subresource,
        patch=True,
        by=writer(call, "PatchOptions"),
        dry_run=dry_run,
    )
    return Answer(200, target.kind.show(updated), tuple(warnings))


def _delete(objects: Objects, call: Call) -> Answer:
    kind, key = call.target.kind, call.target.key
    if call.target.subresource:
        raise method_not_allowed()
    options = _delete_options(call)
    uid = objects.get(kind, key)["metadata"]["uid"]
    waiting = objects.delete(kind, key, options)
    if waiting is not None:
        return Answer(200, kind.show(waiting))
    details = {**details_of(kind.resource, key.name), "uid": uid}
    return Answer(200, _success(details))


def _success(details: JsonObject) -> JsonObject:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def _delete_options(call: Call) -> DeleteOptions:
    try:
        body = json.loads(call.body) if call.body else {}
    except ValueError as error:
        raise bad_request(f"error decoding DeleteOptions: {error}") from error
    return DeleteOptions.parse(body, call.query)


def _delete_collection(objects: Objects, call: Call) -> Answer:
    kind = call.target.kind
    if "deletecollection" not in kind.verbs:
        raise method_not_allowed()
    if kind.resource.namespaced and not call.target.namespace:
        raise method_not_allowed()
    options = _delete_options(call)
    answer = _list(objects, call)
    items, _ = list_objects(objects.storage, call)
    for item in items:
        key = ObjectKey(call.target.key.namespace, item["metadata"]["name"])
        objects.delete(kind, key, options)
    return answer


_COLLECTION: Final = {"GET": _list, "POST": _create, "DELETE": _delete_collection}
_NAMED: Final = {"GET": _get, "PUT": _update, "PATCH": _patch_object, "DELETE": _delete}
