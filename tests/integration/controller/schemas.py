"""What FakeCluster knows of the fields of workloads, read off a real server's own description.

``python -m tests.integration.controller.schemas KUBECONFIG`` writes it anew; a test compares.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig
from hybridpg.controller.protocols import Transport

Json = dict[str, Any]

FILE = Path(__file__).parents[3] / "src" / "controller" / "testing" / "workloads.json"
DOCUMENTS = ("api/v1", "apis/apps/v1", "apis/storage.k8s.io/v1", "apis/discovery.k8s.io/v1")
KINDS = (
    *("Pod", "Service", "PersistentVolumeClaim", "PersistentVolume", "StatefulSet", "Deployment"),
    *("ReplicaSet", "StorageClass", "EndpointSlice"),
)
KEPT = (
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"),
    *("x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy"),
)
REFERENCE = "#/components/schemas/"


async def described(transport: Transport) -> Json:
    """Return the schemas of all types that the kinds are made of, by their short names."""
    types: Json = {}
    for document in DOCUMENTS:
        answer = await transport.request("GET", f"/openapi/v3/{document}")
        types |= json.loads(answer.body)["components"]["schemas"]
    by_name = {name.rsplit(".", 1)[1]: schema for name, schema in types.items()}
    found: Json = {}
    waiting = list(KINDS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = compact(by_name[name])
            waiting += [used for used in referenced(found[name]) if used != "ObjectMeta"]
    return dict(sorted(found.items()))


def compact(schema: Json) -> Json:
    """Leave out what is for readers only, and the defaults that say nothing."""
    for wrapped in schema.get("allOf") or ():
        return {**compact(wrapped), **compact({k: v for k, v in schema.items() if k in KEPT})}
    if "$ref" in schema:
        return {"$ref": schema["$ref"].removeprefix(REFERENCE).rsplit(".", 1)[1]}
    if "oneOf" in schema:
        number = {"type": "number"} in schema["oneOf"]
        return {"x-quantity": True} if number else {"x-kubernetes-int-or-string": True}
    small = {name: schema[name] for name in ("type", *KEPT) if name in schema}
    if schema.get("default") not in (None, "", 0, False, {}, []):
        small["default"] = schema["default"]
    if "properties" in schema:
        small["properties"] = {
            name: compact(child)
            for name, child in schema["properties"].items()
            if name not in ("apiVersion", "kind") or "metadata" not in schema["properties"]
        }
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            small[name] = compact(schema[name])
    return small


def referenced(schema: Any) -> list[str]:
    """Return the names of all types that a schema refers to."""
    if isinstance(schema, list):
        return [name for item in schema for name in referenced(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for item in schema.values() for name in referenced(item)]


def text_of(types: Json) -> str:
    """Return the file: one type a line, so that changes can be read."""
    lines = (f"{json.dumps(n)}: {json.dumps(s, separators=(',', ':'))}" for n, s in types.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


async def main(kubeconfig: str) -> None:
    transport = AiohttpTransport(await load_kubeconfig(Path(kubeconfig)))
    FILE.write_text(text_of(await described(transport)))
    await transport.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
