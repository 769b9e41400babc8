"""A cluster of its own for every test, and short ways to talk to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hybridpg.controller.testing import FakeCluster

Json = dict[str, Any]
SECRETS = "/api/v1/namespaces/default/secrets"
THINGS = "/apis/example.com/v1/namespaces/default/things"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Api:
    """Requests whose answers are decoded."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> tuple[int, Json]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await self.cluster.request(
            method,
            path,
            query=tuple(query.items()),
            headers=(("Content-Type", kind), ("Accept", accept)),
            body=None if body is None else raw,
        )
        return answer.status, json.loads(answer.body) if answer.body[:1] == b"{" else {}

    async def secret(self, name: str, **meta: Any) -> Json:
        status, made = await self("POST", SECRETS, {"metadata": {"name": name, **meta}})
        assert status == 201, made
        return made

    async def events(self, path: str, **query: str) -> list[Json]:
        """Return what a watch of one second sees."""
        query.setdefault("timeoutSeconds", "1")
        stream = self.cluster.stream(path, query=(("watch", "true"), *query.items()))
        return [json.loads(line) async for lines in stream for line in lines]

    async def try_define(
        self, spec: Json, *, names: Json | None = None, **more: Any
    ) -> tuple[int, Json]:
        """Ask for a definition whose ``spec`` has that schema; ``more`` is about its version."""
        schema = {"type": "object", "properties": {"spec": spec}}
        version = {"name": "v1", "served": True, "storage": True, **more}
        body = {
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"kind": "Thing", "plural": "things", **(names or {})},
                "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        return await self("POST", DEFINITIONS, body)

    async def define(self, spec: Json, **more: Any) -> str:
        """Install a definition and return the path of its collection."""
        status, made = await self.try_define(spec, **more)
        assert status == 201, made
        return THINGS

    async def thing(self, spec: Json, name: str = "a", **query: str) -> tuple[int, Json]:
        body = {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self("POST", THINGS, body, **query)

    async def problems(self, spec: Json) -> set[str]:
        """Return ``field: message`` of everything that is refused about a spec."""
        status, answer = await self.thing(spec)
        assert status == 422, answer
        return {f"{c['field']}: {c['message']}" for c in answer["details"]["causes"]}


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster(seed=1, now=lambda: NOON)
    yield cluster
    await cluster.close()


@pytest.fixture
def api(cluster: FakeCluster) -> Api:
    return Api(cluster)
