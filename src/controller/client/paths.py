"""Where an object is in the URL space of an API server.

Every name is checked and escaped here, in one place: an empty name would turn the deletion of
one object into the deletion of its whole collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from ..types import ObjectKey, Query, Resource


def group_path(api_version: str) -> str:
    """Return the root of an API group: ``/api/v1``, ``/apis/apps/v1``."""
    group, _, version = api_version.rpartition("/")
    if not group:
        return f"/api/{_segment(version, 'version')}"
    return f"/apis/{_segment(group, 'group')}/{_segment(version, 'version')}"


def collection_path(resource: Resource, namespace: str = "") -> str:
    """Return the path of all objects of a kind, or of those of one namespace."""
    root = group_path(resource.api_version)
    plural = _segment(resource.plural, "plural")
    if not namespace:
        return f"{root}/{plural}"
    if not resource.namespaced:
        raise ValueError(f"{resource} is cluster-scoped and not in namespace {namespace!r}")
    return f"{root}/namespaces/{_segment(namespace, 'namespace')}/{plural}"


def object_path(resource: Resource, key: ObjectKey, subresource: str = "") -> str:
    """Return the path of one object, or of a subresource of it.

    Errors: ``ValueError`` where the key does not name one object of that kind.
    """
    if resource.namespaced and not key.namespace:
        raise ValueError(f"{resource} {key.name!r} needs a namespace")
    path = f"{collection_path(resource, key.namespace)}/{_segment(key.name, 'name')}"
    return f"{path}/{_segment(subresource, 'subresource')}" if subresource else path


def query(parameters: Mapping[str, str | int | bool | None]) -> Query:
    """Return the parameters that say something: None, False and empty ones are left out."""
    return [
        (name, "true" if value is True else str(value))
        for name, value in parameters.items()
        if value not in (None, False, "")
    ]


def _segment(text: str, what: str) -> str:
    if text in ("", ".", "..") or "/" in text or "%" in text:
        raise ValueError(f"{text!r} is no {what} in the path of an object")
    return quote(text, safe=":")  # names of RBAC objects hold colons
