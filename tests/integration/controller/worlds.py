"""Three API servers behind one interface: in memory, in memory over HTTP, and the real one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from hybridpg.controller.protocols import Transport
from hybridpg.controller.testing import eventually

Json = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Answer:
    """An answer and its decoded body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.json: Json = json.loads(body) if body[:1] == b"{" else {}

    @property
    def meta(self) -> Json:
        meta: Json = self.json["metadata"]
        return meta

    @property
    def version(self) -> str:
        return str(self.meta["resourceVersion"])

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]

    @property
    def causes(self) -> set[tuple[str, str]]:
        return {(c["field"], c["message"]) for c in self.json["details"]["causes"]}


class World:
    """One API server with a namespace of its own for the test.

    The definition is shared: a real server takes a second or two to establish one.
    """

    def __init__(self, transport: Transport, *, collects_garbage: bool, in_memory: bool) -> None:
        self.transport = transport
        self.collects_garbage = collects_garbage
        self.in_memory = in_memory
        self.namespace = f"honest-{uuid.uuid4().hex[:10]}"
        self.secrets = f"/api/v1/namespaces/{self.namespace}/secrets"
        self.events = f"/api/v1/namespaces/{self.namespace}/events"
        self.new_events = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"
        self.use_group(f"honest{fingerprint()}.example.com")

    def use_group(self, group: str) -> None:
        self.group = group
        self.widgets = f"/apis/{group}/v1/namespaces/{self.namespace}/widgets"

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = JSON,
        **query: str,
    ) -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.transport.request(
            method,
            path,
            query=tuple(query.items()),
            headers=(("Content-Type", kind), ("Accept", "application/json")),
            body=None if body is None else raw,
        )
        return Answer(answer.status, answer.headers, answer.body)

    async def get(self, path: str, **query: str) -> Answer:
        return await self.call("GET", path, **query)

    async def post(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("POST", path, body, **query)

    async def put(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("PUT", path, body, **query)

    async def merge(self, path: str, body: Any, **query: str) -> Answer:
        return await self.call("PATCH", path, body, kind=MERGE, **query)

    async def patch(self, path: str, *operations: Json) -> Answer:
        return await self.call("PATCH", path, list(operations), kind=JSON_PATCH)

    async def apply(self, path: str, body: Any, **query: str) -> Answer:
        query.setdefault("fieldManager", "tests")
        return await self.call("PATCH", path, body, kind=APPLY, **query)

    async def delete(self, path: str, body: Any = None, **query: str) -> Answer:
        return await self.call("DELETE", path, body, **query)

    async def watch(self, path: str, **query: str) -> AsyncIterator[Json]:
        """Yield events; ``watch`` is spelt as the generated Python client does."""
        stream = self.transport.stream(path, query=(("watch", "True"), *query.items()))
        async for lines in stream:
            for line in lines:
                yield json.loads(line)

    async def watched(self, path: str, **query: str) -> list[tuple[str, str]]:
        """Return type and name of everything that a watch of one second sees."""
        seen = [event async for event in self.watch(path, timeoutSeconds="1", **query)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in seen]

    def widget(self, name: str, /, *, status: Json | None = None, **spec: Any) -> Json:
        obj: Json = {
            "apiVersion": f"{self.group}/v1",
            "kind": "Widget",
            "metadata": {"name": name},
            "spec": {"name": "abc", **spec},
        }
        return obj if status is None else {**obj, "status": status}

    def owned(self, name: str, owner: Json, **reference: Any) -> Json:
        meta = owner["metadata"]
        reference = {
            "apiVersion": owner.get("apiVersion", "v1"),
            "kind": owner.get("kind", "Secret"),
            "name": meta["name"],
            "uid": meta["uid"],
            **reference,
        }
        return {"metadata": {"name": name, "ownerReferences": [reference]}}

    def definition(self) -> Json:
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{self.group}"},
            "spec": {
                "group": self.group,
                "scope": "Namespaced",
                "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wi"]},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "subresources": {"status": {}},
                        "additionalPrinterColumns": COLUMNS,
                        "schema": {"openAPIV3Schema": SCHEMA},
                    }
                ],
            },
        }


@contextlib.asynccontextmanager
async def prepared(world: World) -> AsyncIterator[None]:
    """The world with its namespace and with its definition established."""
    path = f"/api/v1/namespaces/{world.namespace}"
    name = {"metadata": {"name": world.namespace}}
    assert (await world.post("/api/v1/namespaces", name)).status == 201
    await define(world)
    yield
    await world.delete(path)


async def define(world: World) -> None:
    assert (await world.post(DEFINITIONS, world.definition())).status in (201, 409)

    async def served() -> bool:
        return (await world.get(world.widgets)).status == 200

    await eventually(served, seconds=20)


def fingerprint() -> str:
    return hashlib.sha256(json.dumps([SCHEMA, COLUMNS]).encode()).hexdigest()[:10]


def text(**more: Any) -> Json:
    return {"type": "string", **more}


COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
    {
        "name": "Ready",
        "type": "string",
        "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
    },
]
CONDITION: Json = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {"type": text(), "status": text()},
}
RULE: Json = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": text(), "ip": text(format="ipv4")},
}
IMMUTABLE = {"rule": "self == oldSelf", "message": "name is immutable"}
SPEC: Json = {
    "type": "object",
    "required": ["name"],
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.maybe) || self.maybe != 'no'",
            "message": "maybe must not be no",
            "fieldPath": ".maybe",
        },
        {"rule": "self.size <= 9", "message": "too large", "reason": "FieldValueForbidden"},
    ],
    "properties": {
        "name": text(
            minLength=2,
            maxLength=10,
            pattern="^[a-z]+$",
            **{"x-kubernetes-validations": [IMMUTABLE]},
        ),
        "size": {"type": "integer", "default": 3, "minimum": 1, "maximum": 10},
        "mode": text(enum=["a", "b"], default="a"),
        "when": text(format="date-time"),
        "any": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "params": {"type": "object", "additionalProperties": text()},
        "nested": {
            "type": "object",
            "default": {},
            "properties": {"depth": {"type": "integer", "default": 1}, "ratio": {"type": "number"}},
        },
        "rules": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": RULE,
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": text()},
        "maybe": text(nullable=True),
    },
}
SCHEMA: Json = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": SPEC,
        "status": {
            "type": "object",
            "properties": {
                "observedGeneration": {"type": "integer", "default": -1},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": CONDITION,
                },
            },
        },
    },
}
