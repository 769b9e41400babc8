"""The operator over a fake cluster and a target in memory, in virtual time.

The far ends are fake (API server, target); everything between them is the product. A ``World``
outlives its operator, so that a test can crash one and start the next.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import yaml

from hybridpg.app import Backends, Config, install
from hybridpg.app.kinds import ACTION_LABEL, DATABASES, SERVERS
from hybridpg.app.runtime import Runtime
from hybridpg.app.status import utc_now
from hybridpg.backends import Backend, Unavailable
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    Client,
    JsonObject,
    Manager,
    MergePatch,
    NotFound,
    ObjectKey,
    Resource,
    decode_event,
)
from hybridpg.controller.testing import FakeCluster
from hybridpg.crds.manifest import crd_yaml

from .memory import MemoryBackend, MemoryTarget

NAMESPACE = "team"
_EVENTS = Resource("events.k8s.io", "v1", "events", "Event")


class World:
    """A cluster, a target, and the operator between them while it runs."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config = Config.model_validate({"backend": "memory", **(config or {})})
        self.cluster = FakeCluster(seed=1)
        self.target = MemoryTarget()
        self.client = Client(self.cluster)
        self.backend = MemoryBackend(self.target)
        self.others: dict[str, Any] = {}
        self.runtime: Runtime | None = None
        self.ahead = timedelta()
        """What the operator's wall clock is ahead of the API server's."""

    async def prepare(self) -> None:
        """Install the CRDs and the namespace."""
        for document in yaml.safe_load_all(crd_yaml()):
            await self.client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
        await self.namespace(NAMESPACE)

    async def namespace(self, name: str) -> None:
        """Create a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.client.create(NAMESPACES, body)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[None]:
        """Run the operator; leaving stops it."""
        made: dict[str, Backend | Unavailable] = {"memory": self.backend, **self.others}
        backends = Backends(self.config, made, "cluster-1")
        manager = Manager(self.client, close_client=False)
        self.runtime = install(
            manager, self.config, backends, clock=self._clock, login=self.target.login
        )
        stop = asyncio.Event()
        running = asyncio.create_task(manager.run(stop), name="operator")
        try:
            yield
        finally:
            stop.set()
            await running

    def _clock(self) -> datetime:
        return utc_now() + self.ahead

    async def server(self, name: str = "pg", **spec: Any) -> JsonObject:
        """Create a PostgreSQLServer."""
        return await self._create(SERVERS, name, {"credentialsSecret": f"{name}-login", **spec})

    async def database(self, name: str = "app", server: str = "pg", **spec: Any) -> JsonObject:
        """Create a PostgreSQLDatabase."""
        body = {"serverRef": {"name": server}, "credentialsSecret": f"{name}-login", **spec}
        return await self._create(DATABASES, name, body)

    async def _create(self, kind: Resource, name: str, spec: dict[str, Any]) -> JsonObject:
        annotations = spec.pop("annotations", {})
        namespace = spec.pop("namespace", NAMESPACE)
        metadata = {"name": name, "namespace": namespace, "annotations": annotations}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
        return await self.client.create(kind, {**body, "spec": spec}, namespace=namespace)

    async def get(self, kind: Resource, name: str, namespace: str = NAMESPACE) -> JsonObject:
        """Read an object."""
        return await self.client.get(kind, ObjectKey(namespace, name))

    async def exists(self, kind: Resource, name: str) -> bool:
        """Return whether an object is there."""
        try:
            await self.get(kind, name)
        except NotFound:
            return False
        return True

    async def secret(self, name: str, namespace: str = NAMESPACE) -> dict[str, str]:
        """Read the decoded values of a Secret."""
        data = (await self.get(SECRETS, name, namespace)).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    async def patch(self, kind: Resource, name: str, body: JsonObject) -> JsonObject:
        """Patch an object as a user would."""
        return await self.client.patch(kind, ObjectKey(NAMESPACE, name), MergePatch(body))

    async def reset(self, kind: Resource, name: str) -> None:
        """Ask for a password reset."""
        labels = {ACTION_LABEL: "reset-password"}
        await self.patch(kind, name, {"metadata": {"labels": labels}})

    async def delete(self, kind: Resource, name: str) -> None:
        """Delete an object as a user would."""
        await self.client.delete(kind, ObjectKey(NAMESPACE, name))

    async def accept_anything(self, kind: Resource) -> None:
        """Let the API server take what an older one took: no schema below ``spec``."""
        key = ObjectKey("", str(kind))
        definition = await self.client.get(CUSTOM_RESOURCE_DEFINITIONS, key)
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema.pop("x-kubernetes-validations", None)
        schema["properties"]["spec"] = {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        }
        await self.client.update(CUSTOM_RESOURCE_DEFINITIONS, key, definition)

    async def condition(self, kind: Resource, name: str, type_: str = "Ready") -> JsonObject:
        """Return a condition of an object; empty while it has none."""
        status = (await self.get(kind, name)).get("status") or {}
        found = [c for c in status.get("conditions") or [] if c["type"] == type_]
        return found[0] if found else {}

    async def until(self, check: Callable[[], Awaitable[bool]], seconds: float = 120.0) -> None:
        """Let virtual time pass until ``check`` holds; fails after ``seconds``."""
        async with asyncio.timeout(seconds):
            while not await check():
                await asyncio.sleep(0.1)

    async def ready(self, kind: Resource, name: str, seconds: float = 120.0) -> None:
        """Wait until an object is Ready."""

        async def check() -> bool:
            return (await self.condition(kind, name)).get("status") == "True"

        await self.until(check, seconds)

    async def reason(self, kind: Resource, name: str, reason: str) -> JsonObject:
        """Wait until Ready has a reason, and return the condition."""

        async def check() -> bool:
            return (await self.condition(kind, name)).get("reason") == reason

        await self.until(check)
        return await self.condition(kind, name)

    async def gone(self, kind: Resource, name: str, seconds: float = 120.0) -> None:
        """Wait until an object is gone."""

        async def check() -> bool:
            return not await self.exists(kind, name)

        await self.until(check, seconds)

    async def events(self, name: str) -> list[tuple[str, str, str]]:
        """Return type, reason and message of the events about an object."""
        await asyncio.sleep(15)  # the recorder writes in the background
        page = await self.client.list(_EVENTS, namespace=NAMESPACE)
        found = [item.decode() for item in page.items]
        return [
            (e["type"], e["reason"], e.get("note", ""))
            for e in found
            if e["regarding"]["name"] == name
        ]

    @asynccontextmanager
    async def history(self, kind: Resource) -> AsyncIterator[list[JsonObject]]:
        """Collect every version of the objects of a kind, from now to the end of the block."""
        seen: list[JsonObject] = []

        async def follow() -> None:
            async for batch in self.client.watch(kind, namespace=NAMESPACE, timeout_seconds=3600):
                seen.extend(decode_event(line).object.decode() for line in batch)

        following = asyncio.create_task(follow(), name="history")
        await asyncio.sleep(0.1)
        try:
            yield seen
        finally:
            await asyncio.sleep(0.1)
            following.cancel()
            await asyncio.wait({following})

    def writes(self) -> int:
        """Count the writes that reached the API server, events and ours alike."""
        return sum(r.method not in ("GET", "WATCH") for r in self.cluster.requests)


@asynccontextmanager
async def running(config: dict[str, Any] | None = None) -> AsyncIterator[World]:
    """Make a world with its operator running."""
    world = World(config)
    await world.prepare()
    async with world.operator():
        yield world


@asynccontextmanager
async def both_ready(
    database: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[World]:
    """Make a running world whose server ``pg`` and database ``app`` are Ready."""
    async with running(config) as world:
        await world.server(**(server or {}))
        await world.database(**(database or {}))
        await world.ready(DATABASES, "app")
        yield world


async def ready_and_stopped(
    database: dict[str, Any] | None = None, server: dict[str, Any] | None = None
) -> World:
    """Return a world in which both became Ready, and whose operator has stopped."""
    async with both_ready(database, server) as world:
        return world
