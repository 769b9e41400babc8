"""Replicas of one manager, which are candidates for a Lease on a cluster in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.controller.elections import Line, config, now

from hybridpg.controller.client.api import Client
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import SECRETS, JsonObject, ObjectReference

ABOUT = ObjectReference("v1", "Secret", "default", "a", "uid-a")


@pytest.fixture(name="cluster")
async def cluster_of_replicas() -> AsyncIterator[FakeCluster]:
    """The cluster on which replicas are candidates."""
    made = FakeCluster(seed=1)
    yield made
    await made.close()


def secret(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}


class Replica:
    """A manager that notes what its parts do; it stops like a process that is told to."""

    def __init__(self, cluster: FakeCluster, name: str, **options: Any) -> None:
        self.line = Line(cluster)
        self.name = name
        self.notes: list[tuple[float, str]] = []
        options = {"leader_election": config(), **options}
        self.manager = Manager(Client(self.line), name=name, **options)
        self.stop = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        informer = self.manager.informer(SECRETS)
        controller = self.manager.controller("secrets", self.reconcile)
        controller.watch(informer, handler=enqueue_self())
        self.manager.add("sweep", self.sweep)
        self.manager.add("everywhere", self.everywhere, leader_only=False)

    def note(self, text: str) -> None:
        self.notes.append((round(now(), 2), text))

    @property
    def said(self) -> list[str]:
        return [text for _, text in self.notes]

    async def reconcile(self, request: Request) -> None:
        self.note(f"reconciles {request.key.name}")

    async def sweep(self) -> None:
        self.note("sweeps")
        try:
            await asyncio.Event().wait()
        finally:
            self.note("sweeps no more")

    async def everywhere(self) -> None:
        self.note("is everywhere")
        await asyncio.Event().wait()

    def start(self) -> Replica:
        """Run until it is told to stop."""
        self.task = asyncio.create_task(
            self.manager.run(self.stop, on_started=lambda: self.note("started"))
        )
        return self

    async def end(self) -> None:
        """Stop and wait for the end, which may be an error."""
        self.stop.set()
        assert self.task is not None
        await self.task

    async def leads(self) -> None:
        """Wait until it leads."""
        elector = self.manager.elector
        assert elector is not None
        await eventually(lambda: elector.is_leader, seconds=100)
        await asyncio.sleep(0.01)


class Hangs(Replica):
    """A replica whose runs never end by themselves."""

    async def reconcile(self, request: Request) -> None:
        await asyncio.sleep(1000)
