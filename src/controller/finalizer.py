"""Adds and removes a finalizer, each with a patch that fails where somebody else was faster.

The states of an object and what to do in each::

    without finalizer, alive      ensure() adds it; the pass ends, nothing was created yet
    with finalizer, alive         the ordinary pass
    with finalizer, deleting      clean up, then remove(); a failed clean-up keeps the finalizer
    without finalizer, deleting   nothing: the object is on its way out

The clean-up has to tolerate that nothing was ever created. A JSON patch with ``test`` operations
touches nothing else: other finalizers, and changes that others make at the same time, survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .client.api import Client
from .errors import Conflict, NotFound
from .guarded import GuardedPatch
from .metadata import metadata_of
from .types import JsonObject, KubeObject, ObjectKey, Resource

REMOVE_TRIES: Final = 3
"""Each try is against a fresh list; whoever changes it that often is at war with us."""


async def ensure(
    client: Client, resource: Resource, obj: KubeObject | JsonObject, finalizer: str
) -> bool:
    """Make sure that the object has the finalizer before anything is created for it.

    True says that this pass has to end: the finalizer was just added, and the object comes again
    with it; or the object is being deleted, and must not get one any more. ``obj`` may come from
    a cache.

    Errors: :class:`~.errors.Conflict` where the object has changed meanwhile,
    :class:`~.errors.NotFound` where it is gone.
    """
    key, _, deleting, finalizers = _facts(obj)
    if finalizer in finalizers:
        return False
    if deleting:
        return True
    try:
        await GuardedPatch(obj).add_finalizer(finalizer).send(client, resource)
    except Conflict as error:
        raise _changed(resource, key, finalizer) from error
    return True


async def remove(
    client: Client, resource: Resource, obj: KubeObject | JsonObject, finalizer: str
) -> None:
    """Remove the finalizer; an object that is gone or does not have it is fine.

    Errors: :class:`~.errors.Conflict` if the object kept changing.
    """
    key, uid, _, finalizers = _facts(obj)
    for _ in range(REMOVE_TRIES):
        if finalizer not in finalizers:
            return
        try:
            await GuardedPatch(obj).remove_finalizer(finalizer).send(client, resource)
        except NotFound:
            return
        except Conflict as error:
            problem = error
        else:
            return
        try:
            obj = await client.get(resource, key)
        except NotFound:
            return
        _, present, _, finalizers = _facts(obj)
        if present != uid:
            return
    raise _changed(resource, key, finalizer) from problem


def _facts(obj: KubeObject | JsonObject) -> tuple[ObjectKey, str, bool, Sequence[str]]:
    """Return key, UID, whether it is being deleted, and finalizers."""
    if isinstance(obj, KubeObject):
        return obj.key, obj.uid, obj.deleting, metadata_of(obj).finalizers
    meta = obj["metadata"]
    return (
        ObjectKey(meta.get("namespace", ""), meta["name"]),
        meta["uid"],
        bool(meta.get("deletionTimestamp")),
        meta.get("finalizers") or (),
    )


def _changed(resource: Resource, key: ObjectKey, finalizer: str) -> Conflict:
    return Conflict(
        409, "Conflict", f"{resource} {key} changed: finalizer {finalizer} is set later"
    )
