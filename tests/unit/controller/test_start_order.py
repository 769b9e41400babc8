"""What is there before what, when a manager starts: each step is seen from the far end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.controller.elections import Line, config

from hybridpg.controller import Address, Client, Manager
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import SECRETS, Headers, Query

pytestmark = pytest.mark.virtual_time


class Watched(Line):
    """Notes, with each request, whether the health server listens and the caches are complete."""

    manager: Manager

    def __init__(self, cluster: FakeCluster) -> None:
        super().__init__(cluster)
        self.seen: list[tuple[str, bool, bool]] = []

    def note(self, path: str) -> None:
        health = self.manager.health
        listens = health is not None and health.port != 0
        complete = all(informer.synced for informer in self.manager.informers)
        self.seen.append((path.rsplit("/", 1)[-1], listens, complete))

    async def request(self, method, path, *, query=(), headers=(), body=None):
        self.note(path)
        return await super().request(method, path, query=query, headers=headers, body=body)

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        self.note(path)
        async for lines in super().stream(path, query=query, headers=headers):
            yield lines


async def test_health_is_there_before_the_caches_fill_and_they_are_full_before_the_election():
    cluster = FakeCluster(seed=1)
    line = Watched(cluster)
    line.manager = manager = Manager(
        Client(line), health=Address("127.0.0.1", 0), leader_election=config()
    )
    manager.informer(SECRETS)
    worked = asyncio.Event()

    async def work() -> None:
        line.note("work")
        worked.set()
        await asyncio.Event().wait()

    manager.add("work", work)
    async with manager:
        await eventually(worked.is_set)
    first = line.seen[0]
    assert first == ("secrets", True, False), "the first list, and somebody may ask already"
    leases = [step for step in line.seen if step[0] in ("leases", config().name)]
    assert leases, line.seen
    assert all(complete for _, _, complete in leases)
    names = [name for name, _, _ in line.seen]
    assert names.index("work") > names.index(config().name)
    await cluster.close()
