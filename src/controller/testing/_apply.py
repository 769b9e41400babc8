"""The verb apply: a manifest becomes part of an object, or makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..types import JsonObject
from . import _meta
from ._decode import Decoded, load_yaml
from ._managed import apply_to, seen_by
from ._objects import Objects, check_name
from ._ownership import APPLY, NAME_LIMIT, UPDATE, Manager, manager_name
from ._request import Answer, Call
from ._status import Cause, bad_request, invalid_options, required
from ._storage import copy
from ._typed import check_manifest

Settle = Callable[[Decoded], JsonObject]
"""From what was merged to what is stored: checks of fields and types."""


def writer(call: Call, options: str, operation: str = UPDATE) -> Manager:
    """Return who makes a request.

    Errors: 422 for a field manager whose name is too long or cannot be shown.
    """
    target = call.target
    name = manager_name(call.query, call.headers)
    causes = list(_name_causes(name))
    if causes:
        raise invalid_options(options, *causes)
    return Manager(name, operation, target.kind.resource.api_version, target.subresource)


def _name_causes(name: str) -> Iterator[Cause]:
    if len(name) > NAME_LIMIT:
        yield Cause("fieldManager", f"Too long: may not be more than {NAME_LIMIT} bytes")
    for at, char in enumerate(name):
        if not char.isprintable():
            problem = f"invalid character U+{ord(char):04X} (at position {at})"
            yield Cause("fieldManager", f"Invalid value: {_quoted(name)}: {problem}")


def _quoted(name: str) -> str:
    """Return a name as Go quotes it."""
    chars = (char if char.isprintable() else f"\\x{ord(char):02x}" for char in name)
    return '"' + "".join(chars) + '"'


def apply(objects: Objects, call: Call, settle: Settle, *, dry_run: bool) -> Answer:
    """Apply a manifest.

    Errors: 409 for conflicts with other managers, 422 without a manager, 400 for no manifest.
    """
    target, kind = call.target, call.target.kind
    if not call.query.get("fieldManager"):
        cause = required("fieldManager", "is required for apply patch")
        raise invalid_options("PatchOptions", cause)
    manifest = _manifest(call)
    by = writer(call, "PatchOptions", APPLY)
    schema = seen_by(kind, target.subresource, "").schema
    check_manifest(manifest, schema, kind.resource, target.key)
    if objects.storage.get(kind.stored_as, target.key) is None and not target.subresource:
        obj = settle(Decoded(copy(manifest)))
        made = objects.create(kind, target.namespace, obj, by=by, named=manifest, dry_run=dry_run)
        return Answer(201, kind.show(made))
    force = call.flag("force")
    now = objects.stamps.time()

    def change(stored: JsonObject) -> JsonObject:
        merged = apply_to(kind, kind.show(stored), manifest, by, force=force, now=now)
        return settle(Decoded(merged))

    updated = objects.update(
        kind,
        target.key,
        change,
        subresource=target.subresource,
        patch=True,
        by=by,
        dry_run=dry_run,
    )
    return Answer(200, kind.show(updated))


def _manifest(call: Call) -> JsonObject:
    try:
        manifest = load_yaml(call.body or b"")
    except ValueError as error:
        raise bad_request(f"error decoding YAML: {error}") from error
    resource = call.target.kind.resource
    if not isinstance(manifest, dict) or manifest.get("kind") != resource.kind:
        fields = manifest if isinstance(manifest, dict) else {}
        version, kind = fields.get("apiVersion", ""), fields.get("kind", "")
        raise bad_request(f"invalid object type: {version}, Kind={kind}")
    if not _meta.name_of(manifest):
        manifest["metadata"] = {**(manifest.get("metadata") or {}), "name": call.target.name}
    else:
        check_name(manifest, call.target.key)
    if manifest["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    return manifest
