"""Informers that are asked for, stopped and looked at while their manager runs."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.controller.elections import Line
from tests.unit.controller.replicas import cluster_of_replicas  # noqa: F401 - a fixture
from tests.unit.controller.scripted import WIDGETS

from hybridpg.controller.client.api import Client
from hybridpg.controller.errors import ManagerError
from hybridpg.controller.manager import Manager
from hybridpg.controller.reconcile import Request
from hybridpg.controller.types import SECRETS

pytestmark = pytest.mark.virtual_time


async def test_an_informer_that_is_asked_for_while_the_manager_runs_starts_at_once(cluster):
    manager = Manager(Client(cluster))
    async with manager:
        informer = manager.informer(SECRETS, namespaces=("default",))
        async with asyncio.timeout(1):
            await informer.wait_synced()
        assert manager.informer(SECRETS, namespaces=("default",)) is informer
        assert manager.informers == (informer,)
        assert cluster.open_watches == ["secrets"]

        await manager.stop_informer(informer)
        assert not manager.informers
        assert cluster.open_watches == []
        await asyncio.sleep(1)

        again = manager.informer(SECRETS, namespaces=("default",))
        assert again is not informer
        await again.wait_synced()
        with pytest.raises(ManagerError, match="has no such informer of secrets"):
            await manager.stop_informer(informer)
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(5, stop.set)
        await manager.wait(stop)
        assert stop.is_set(), "an informer that was stopped has not died"


async def test_an_informer_of_the_run_that_dies_fails_the_manager(cluster):
    class Broken(Line):
        async def request(self, method, path, **options):
            if "widgets" in path:
                raise ZeroDivisionError("bug")
            return await super().request(method, path, **options)

        async def stream(self, path, **options):
            if "widgets" in path:
                raise ZeroDivisionError("bug")
            async for lines in super().stream(path, **options):
                yield lines

    manager = Manager(Client(Broken(cluster)))

    async def block() -> None:
        async with manager:
            manager.informer(WIDGETS)
            await manager.wait(asyncio.Event())

    with pytest.raises(ManagerError, match=r"informer widgets\.example\.org died"):
        await block()


async def test_the_parts_of_a_manager_can_be_looked_at(cluster):
    manager = Manager(Client(cluster))
    informer = manager.informer(SECRETS)

    async def idle(request: Request) -> None:
        return None

    controller = manager.controller("c", idle)
    assert manager.informers == (informer,)
    assert manager.controllers == (controller,)
    assert manager.elector is None
    assert manager.health is None
    await manager.stop_informer(informer)
    assert not manager.informers
    await manager.client.close()
