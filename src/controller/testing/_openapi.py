"""``/openapi/v3``: as much of it as kubectl reads.

``explain`` wants the schemas with their group, version and kind; ``apply`` and ``create`` want to
see that the server checks fields itself, which they read off the parameters of the patch.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from ..types import JsonObject
from . import _meta
from ._kinds import Kind, Registry
from ._request import Answer

META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
GVK: Final = "x-kubernetes-group-version-kind"
API_VERSION: Final[JsonObject] = {
    "type": "string",
    "description": "The group and version of the schema of this object.",
}
KIND: Final[JsonObject] = {"type": "string", "description": "The kind of this object."}
FIELD_VALIDATION: Final[JsonObject] = {
    "name": "fieldValidation",
    "in": "query",
    "description": "Ignore, Warn or Strict: what is done about unknown and duplicate fields.",
    "schema": {"type": "string", "uniqueItems": True},
}


def openapi(path: str, registry: Registry) -> Answer | None:
    """Answer a path under ``/openapi/v3``; None for all others."""
    if path == "/openapi/v3":
        return Answer(200, {"paths": _index(registry)})
    if not path.startswith("/openapi/v3/"):
        return None
    parts = path.removeprefix("/openapi/v3/").split("/")
    if parts[0] == "api" and len(parts) == 2:
        return _document("", parts[1], registry)
    if parts[0] == "apis" and len(parts) == 3:
        return _document(parts[1], parts[2], registry)
    return None


def _index(registry: Registry) -> JsonObject:
    paths = {}
    for group, versions in registry.groups().items():
        for version in versions:
            place = _root(group, version)
            document = _document(group, version, registry)
            raw = b"" if document is None else msgspec.json.encode(document.body)
            mark = hashlib.sha512(raw).hexdigest().upper()
            paths[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={mark}"}
    return paths


def _root(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _document(group: str, version: str, registry: Registry) -> Answer | None:
    kinds = list(registry.of(group, version))
    if not kinds:
        return None
    paths: JsonObject = {}
    schemas: JsonObject = {META: _meta.SCHEMA}
    for kind in kinds:
        paths.update(_paths(kind, f"/{_root(group, version)}"))
        schemas[_schema_name(kind)] = _schema(kind)
    return Answer(
        200,
        {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.34.0+fake"},
            "paths": paths,
            "components": {"schemas": schemas},
        },
    )


def _gvk(kind: Kind) -> JsonObject:
    resource = kind.resource
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _schema_name(kind: Kind) -> str:
    resource = kind.resource
    group = resource.group or "core.api.k8s.io"
    return ".".join([*reversed(group.split(".")), resource.version, resource.kind])


def _schema(kind: Kind) -> JsonObject:
    schema = kind.schema or {"type": "object"}
    properties = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        **(schema.get("properties") or {}),
        "metadata": {
            "description": "Standard object's metadata.",
            "allOf": [{"$ref": f"#/components/schemas/{META}"}],
            "default": {},
        },
    }
    return {**schema, "properties": properties, GVK: [_gvk(kind)]}


def _paths(kind: Kind, root: str) -> JsonObject:
    resource = kind.resource
    place = f"{root}/namespaces/{{namespace}}" if resource.namespaced else root
    collection = f"{place}/{resource.plural}"
    paths: JsonObject = {
        collection: {
            "get": _operation(kind, "list"),
            "post": _operation(kind, "post", FIELD_VALIDATION),
        },
        f"{collection}/{{name}}": {
            "get": _operation(kind, "get"),
            "put": _operation(kind, "put", FIELD_VALIDATION),
            "patch": _operation(kind, "patch", FIELD_VALIDATION),
            "delete": _operation(kind, "delete"),
        },
    }
    if resource.namespaced:
        paths[f"{root}/{resource.plural}"] = {"get": _operation(kind, "list")}
    return paths


def _operation(kind: Kind, action: str, *parameters: JsonObject) -> JsonObject:
    reference = {"$ref": f"#/components/schemas/{_schema_name(kind)}"}
    return {
        "parameters": list(parameters),
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": reference}}}
        },
        "x-kubernetes-action": action,
        GVK: _gvk(kind),
    }
