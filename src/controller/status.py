"""Writes the status of an object, if it differs.

A controller whose every pass writes wakes itself: each write is a change that it watches. So the
difference alone is sent, and where there is none, nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .client.api import Client
from .client.patch import MergePatch, merge_difference
from .types import JsonObject, KubeObject, ObjectKey, Resource

METADATA_KIND: Final = "PartialObjectMetadata"


async def write_status(
    client: Client, resource: Resource, obj: KubeObject | JsonObject, status: Mapping[str, Any]
) -> JsonObject | None:
    """Make ``status`` the status of an object; return it as stored, None if nothing was written.

    ``status`` is the whole of it: a field that it lacks, or has as None, is removed. ``obj`` is
    what the status was made from, and may come from a cache.

    Errors: :class:`~.errors.Conflict` where the object has changed since, and nothing is written:
    what was decided on an old object must not be said of the new one. ``ValueError`` for an object
    that was read as metadata alone.
    """
    observed = obj.decode() if isinstance(obj, KubeObject) else obj
    if observed.get("kind") == METADATA_KIND:
        raise ValueError(f"the status of {resource} {observed['metadata']['name']} was not read")
    patch = merge_difference(observed.get("status") or {}, status)
    if not patch:
        return None
    meta = observed["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": patch}
    key = ObjectKey(meta.get("namespace", ""), meta["name"])
    return await client.patch(resource, key, MergePatch(body), subresource="status")
