"""Server-side apply: the API server merges what this controller wants into what others want.

Each field belongs to the field managers that applied it. What is applied must be complete: a field
that an earlier apply had and this one has not is given up, and goes where nobody else wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .client.api import Client
from .client.patch import ApplyPatch
from .errors import ApplyConflict, Conflict
from .types import JsonObject, KubeObject, ObjectKey, Resource

OWNED_ELSEWHERE: Final = "FieldManagerConflict"
_MANAGER: Final = re.compile(r'conflict with "(?P<name>[^"]*)"')


async def apply(
    client: Client,
    resource: Resource,
    obj: JsonObject,
    *,
    force: bool = False,
    field_manager: str = "",
    subresource: str = "",
    dry_run: bool = False,
) -> JsonObject:
    """Apply an object and return it as stored; it is created where it is missing.

    ``obj`` needs ``metadata.name`` and, unless the kind is cluster-scoped, ``namespace``, and the
    fields that this field manager wants, no others. ``field_manager`` is the client's by default.
    ``force`` takes over the fields that belong to others; without it nothing changes at all.

    Errors: :class:`~.errors.ApplyConflict`, which says what belongs to whom.
    """
    meta: JsonObject = obj.get("metadata") or {}
    key = ObjectKey(meta.get("namespace", ""), meta.get("name", ""))
    body = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
    try:
        return await client.patch(
            resource,
            key,
            ApplyPatch(body, force=force),
            subresource=subresource,
            dry_run=dry_run,
            field_manager=field_manager,
        )
    except Conflict as error:
        owners = _owners(error)
        if not owners:
            raise
        raise ApplyConflict(_describe(resource, key, owners), owners=owners) from error


def controller_reference(resource: Resource, owner: KubeObject | JsonObject) -> JsonObject:
    """Return the entry of ``metadata.ownerReferences`` that makes an object belong to ``owner``.

    It is deleted with its owner, and a change of it can wake its owner: see
    :func:`~.handlers.enqueue_owner`.
    """
    if isinstance(owner, KubeObject):
        name, uid = owner.name, owner.uid
    else:
        name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _owners(error: Conflict) -> dict[str, tuple[str, ...]]:
    """Return the managers of each field in conflict; empty for conflicts of another sort."""
    owners: dict[str, tuple[str, ...]] = {}
    causes = error.details.get("causes")
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, Mapping) and cause.get("reason") == OWNED_ELSEWHERE:
            field = str(cause.get("field", ""))
            owners[field] = (*owners.get(field, ()), _manager(cause))
    return owners


def _manager(cause: Mapping[str, Any]) -> str:
    message = str(cause.get("message", ""))
    found = _MANAGER.match(message)
    return found["name"] if found else message


def _describe(resource: Resource, key: ObjectKey, owners: Mapping[str, tuple[str, ...]]) -> str:
    fields = [f"{field} to {' and '.join(managers)}" for field, managers in owners.items()]
    return (
        f"{resource} {key} was not applied, fields belong to others: {', '.join(fields)}; leave "
        "them out, or force to take them over"
    )
