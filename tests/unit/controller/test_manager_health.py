"""A manager that is watched from outside: its checks and its metrics over HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest

from hybridpg.controller import Address, Client, LeaseConfig, Manager, ManagerError
from hybridpg.controller.handlers import enqueue_self
from hybridpg.controller.reconcile import Request
from hybridpg.controller.testing import FakeCluster, eventually
from hybridpg.controller.types import NAMESPACES

HERE = Address("127.0.0.1", 0)


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    made = FakeCluster(seed=1)
    yield made
    await made.close()


async def get(manager: Manager, path: str) -> tuple[int, str]:
    assert manager.health is not None
    url = f"http://127.0.0.1:{manager.health.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def idle(request: Request) -> None:
    return None


async def test_a_running_manager_is_alive_ready_and_counts(cluster):
    lease = LeaseConfig("default", "c")
    manager = Manager(Client(cluster), health=HERE, leader_election=lease, close_client=False)
    controller = manager.controller("namespaces", idle)
    controller.watch(manager.informer(NAMESPACES), handler=enqueue_self())
    async with manager:
        await eventually(lambda: manager.elector is not None and manager.elector.is_leader)
        assert await get(manager, "/healthz") == (200, "ok\n")
        status, text = await get(manager, "/readyz?verbose")
        assert (status, text) == (
            200,
            "[+] informer namespaces: ok\n[+] leader election: leads\nok\n",
        )
        await asyncio.sleep(0.02)
        _, page = await get(manager, "/metrics")
        lines = page.splitlines()
        assert 'leader_election_master_status{name="c"} 1.0' in lines
        assert 'informer_synced{informer="namespaces"} 1.0' in lines
        success = 'controller_runtime_reconcile_total{controller="namespaces",result="success"} 4.0'
        assert success in lines
        assert any('code="201"' in line and 'method="POST"' in line for line in lines), "the lease"
    with pytest.raises(aiohttp.ClientError):
        await get(manager, "/healthz")


async def test_health_is_served_while_caches_still_fill_and_names_what_is_missing(cluster):
    cluster.faults.delay(0.3, path="*/namespaces", times=100)
    manager = Manager(Client(cluster), health=HERE, close_client=False)
    manager.informer(NAMESPACES)
    stop = asyncio.Event()
    task = asyncio.create_task(manager.run(stop))
    await asyncio.sleep(0.02)
    assert (await get(manager, "/healthz"))[0] == 200
    assert await get(manager, "/readyz") == (
        503,
        "[-] informer namespaces: its first list is not complete\nfailed\n",
    )
    await eventually(lambda: manager.informers[0].synced)
    assert (await get(manager, "/readyz"))[0] == 200
    stop.set()
    await task


async def test_a_cache_that_heard_nothing_for_long_is_not_ready_and_named(cluster):
    ahead = 0.0
    manager = Manager(
        Client(cluster),
        health=HERE,
        close_client=False,
        now=lambda: asyncio.get_running_loop().time() + ahead,
    )
    manager.informer(NAMESPACES)
    async with manager:
        ahead = 179.0
        assert (await get(manager, "/readyz"))[0] == 200
        ahead = 200.0
        status, text = await get(manager, "/readyz")
        assert status == 503
        assert text.startswith("[-] informer namespaces: nothing was heard of the API server for 2")


async def test_a_part_that_died_is_named_until_the_manager_ends(cluster):
    async def dies() -> None:
        raise RuntimeError("disk full")

    manager = Manager(Client(cluster), health=HERE, close_client=False)
    manager.add("sweep", dies)

    async def block() -> None:
        async with manager:
            await asyncio.sleep(0.01)
            status, text = await get(manager, "/healthz")
            assert status == 503
            assert "runnable sweep died: RuntimeError: disk full" in text

    with pytest.raises(ManagerError, match="runnable sweep died"):
        await block()


async def test_an_address_that_is_taken_ends_the_start_and_leaves_nothing_behind(cluster):
    first = Manager(Client(cluster), health=HERE, close_client=False)
    async with first:
        assert first.health is not None
        taken = Address("127.0.0.1", first.health.port)
        with pytest.raises(ManagerError, match="cannot listen on"):
            await Manager(Client(cluster), health=taken, close_client=False).run(asyncio.Event())
        assert (await get(first, "/healthz"))[0] == 200


async def test_metrics_of_two_managers_are_their_own(cluster):
    one = Manager(Client(cluster), name="one", metrics=True, close_client=False)
    two = Manager(Client(cluster), name="two", close_client=False)
    one.informer(NAMESPACES)
    async with one, two:
        labels = {"method": "GET", "host": "", "code": "200"}
        assert one.registry is one.registry
        assert one.registry is not two.registry
        assert one.registry.get_sample_value("rest_client_requests_total", labels)
        assert two.registry.get_sample_value("rest_client_requests_total", labels) is None
        assert two.registry.get_sample_value("informer_objects", {"informer": "namespaces"}) is None


async def test_who_asks_for_no_metrics_does_not_load_their_library():
    code = (
        "import sys, hybridpg.controller; "
        "sys.exit('prometheus_client' in sys.modules or 'opentelemetry.sdk' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
