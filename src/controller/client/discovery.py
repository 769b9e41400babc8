"""Asks the API server which kinds it serves.

Nothing is cached: a CRD may be installed or removed at any time, and who asks wants to know what
is true now.
"""

from __future__ import annotations

from typing import Any, Final

from ..errors import NotFound
from ..protocols import Transport
from ..types import JsonObject, Resource
from .paths import group_path
from .status import json_object

ACCEPT_JSON: Final = (("accept", "application/json"),)


async def find_resource(transport: Transport, api_version: str, kind: str) -> Resource | None:
    """Return how objects of a kind are addressed, or None where the kind is not served.

    Errors: as of the client; None is only ever a proven absence.
    """
    for found in await _resources(transport, api_version):
        if found.get("kind") == kind and "/" not in str(found.get("name", "/")):
            return _resource(api_version, found)
    return None


async def is_served(transport: Transport, resource: Resource) -> bool:
    """Whether the API server serves exactly this resource."""
    found = await find_resource(transport, resource.api_version, resource.kind)
    return found == resource


async def _resources(transport: Transport, api_version: str) -> list[dict[str, Any]]:
    try:
        answer: JsonObject = json_object(
            await transport.request("GET", group_path(api_version), headers=ACCEPT_JSON)
        )
    except NotFound:
        return []
    listed = answer.get("resources")
    return [entry for entry in listed or () if isinstance(entry, dict)]


def _resource(api_version: str, found: JsonObject) -> Resource:
    group, _, version = api_version.rpartition("/")
    return Resource(
        group, version, str(found["name"]), str(found["kind"]), bool(found.get("namespaced"))
    )
