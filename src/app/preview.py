"""Plans for many objects: those of a cluster, or those of a manifest before it is applied."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..controller import (
    Client,
    JsonObject,
    Manager,
    ObjectKey,
    ReadStore,
    Resource,
    Transport,
)
from .config import Config
from .errors import AppError
from .install import prepare_runtime
from .kinds import DATABASES, SERVERS
from .planning import Plan, Planner
from .readonly import ReadOnlyTransport
from .runtime import Runtime
from .subject import Subject
from .wiring import prepare_backends

KINDS = {SERVERS.kind: SERVERS, DATABASES.kind: DATABASES}
NOT_CREATED = "not-created"
"""The UID of an object that is only written down: no mark of a live one is like it."""

ObjectName = tuple[Resource, ObjectKey]


@dataclass(frozen=True, slots=True)
class Preview:
    """Looks at a cluster and its targets and writes to neither."""

    runtime: Runtime

    async def existing(self, namespace: str) -> list[Plan]:
        """Plan all objects of a namespace, of all namespaces if it is empty; servers first."""
        cached = [(SERVERS, obj) for obj in self.runtime.servers.list(namespace)]
        cached += [(DATABASES, obj) for obj in self.runtime.databases.list(namespace)]
        cached.sort(key=lambda each: (each[0] != SERVERS, each[1].key))
        return await self._plan(Subject.of(kind, obj) for kind, obj in cached)

    async def named(self, names: Sequence[ObjectName]) -> list[Plan]:
        """Plan objects by name.

        Raises:
            AppError: one of them does not exist.
        """
        found = {name: self._store(name[0]).get(name[1]) for name in names}
        for (kind, key), obj in found.items():
            if obj is None:
                raise AppError(f"{kind.kind} {key} does not exist")
        return await self._plan(Subject.of(kind, obj) for (kind, _), obj in found.items() if obj)

    async def written(self, documents: Iterable[JsonObject], namespace: str) -> list[Plan]:
        """Plan the objects of a manifest as if it had been applied; other kinds are passed over."""
        subjects = [
            self._as_applied(KINDS[document["kind"]], document, namespace)
            for document in documents
            if document and document.get("kind") in KINDS
        ]
        return await self._plan(subjects)

    async def _plan(self, subjects: Iterable[Subject]) -> list[Plan]:
        planner = Planner(self.runtime)
        return [await planner.plan(subject) for subject in subjects]

    def _as_applied(self, kind: Resource, document: JsonObject, namespace: str) -> Subject:
        written = document.get("metadata") or {}
        key = ObjectKey(str(written.get("namespace") or namespace), str(written.get("name", "")))
        live = self._store(kind).get(key)
        obj: JsonObject = live.decode() if live else {"metadata": {"uid": NOT_CREATED}}
        metadata = {**obj["metadata"], "namespace": key.namespace, "name": key.name}
        for field in ("labels", "annotations"):
            metadata[field] = {**(metadata.get(field) or {}), **(written.get(field) or {})}
        return Subject(kind, {**obj, "metadata": metadata, "spec": document.get("spec") or {}})

    def _store(self, kind: Resource) -> ReadStore:
        return self.runtime.servers if kind == SERVERS else self.runtime.databases


@asynccontextmanager
async def open_preview(config: Config, transport: Transport) -> AsyncIterator[Preview]:
    """Read the objects of a cluster; nothing that is sent through ``transport`` writes.

    Raises:
        ConfigError: the configuration cannot be used in this cluster.
        ControllerError: the objects cannot be read.
    """
    manager = Manager(Client(ReadOnlyTransport(transport)), name="hybridpg-plan")
    try:
        backends = await prepare_backends(config, manager.client)
    except BaseException:
        await manager.client.close()
        raise
    try:
        runtime, _, _ = prepare_runtime(manager, config, backends)
        async with manager:
            yield Preview(runtime)
    finally:
        await backends.close()
