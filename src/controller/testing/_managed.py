"""Keeps ``managedFields`` over the writes of objects: who wrote last, endpoint by endpoint."""

from __future__ import annotations

from typing import Any, Final

from ..types import JsonObject
from ._kinds import Kind
from ._ownership import (
    APPLY,
    UPDATE,
    Manager,
    Owners,
    Ownership,
    given,
    ownership,
    read,
    same_but_times,
    write,
)

CLUSTER: Final = "kube-controller-manager"
"""Who writes what the cluster's own controllers write."""


def cluster_writer(kind: Kind) -> Manager:
    """Return the manager of a write by the cluster itself."""
    return Manager(CLUSTER, UPDATE, kind.resource.api_version)


def seen_by(kind: Kind, subresource: str, now: str) -> Ownership:
    """Return the ownership of a kind as one endpoint sees it."""
    return ownership(kind.schema, subresource, now, has_status=kind.has_status)


def after_create(kind: Kind, obj: JsonObject, by: Manager, named: Any, now: str) -> Owners:
    """Return the owners of a new object; an applier owns only what its manifest named."""
    view = seen_by(kind, by.subresource, now)
    if by.operation == APPLY:
        return view.applied({}, {}, named, by, force=False)[1]
    return view.updated({}, kind.zero, kind.show(obj), by)


def after_update(
    kind: Kind, obj: JsonObject, old: JsonObject, by: Manager, entries: Any, now: str
) -> list[JsonObject]:
    """Return ``managedFields`` after an update; ``entries`` is what the client sent of it.

    An object whose owners nobody knows stays one, until somebody applies to it.
    """
    before: list[JsonObject] = old["metadata"].get("managedFields") or []
    if by.operation == APPLY:
        after: list[JsonObject] = entries
    else:
        sent: JsonObject = {"metadata": {"managedFields": entries}}
        owners = given(sent, old, subresource=by.subresource)
        if not owners:
            return []
        view = seen_by(kind, by.subresource, now)
        mine, others = _by_version(kind, owners)
        after = write({**others, **view.updated(mine, kind.show(old), kind.show(obj), by)})
    return before if same_but_times(before, after) else after


def _by_version(kind: Kind, owners: Owners) -> tuple[Owners, Owners]:
    """Split off owners by another face of a built-in kind: their fields have other names."""
    if kind.custom:
        return owners, {}
    version = kind.resource.api_version
    mine = {key: owned for key, owned in owners.items() if owned.manager.api_version == version}
    return mine, {key: owned for key, owned in owners.items() if key not in mine}


def apply_to(
    kind: Kind, live: JsonObject, manifest: JsonObject, by: Manager, *, force: bool, now: str
) -> JsonObject:
    """Return an object with a manifest applied to it, its new ``managedFields`` included.

    Errors: 409 for conflicts.
    """
    view = seen_by(kind, by.subresource, now)
    owners = read(live["metadata"].get("managedFields")) or {}
    owners = view.adopted(owners, live, kind.zero, kind.resource.api_version)
    mine, others = _by_version(kind, owners)
    merged, mine = view.applied(mine, live, manifest, by, force=force)
    entries = write({**others, **mine})
    return {**merged, "metadata": {**merged["metadata"], "managedFields": entries}}
