"""What tests here share: the worlds of the conformance suite, ConfigMaps, a bench for faults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fix_testenv import TestEnv
from tests.integration.controller.client_objects import CONFIG_MAPS, config_map
from tests.integration.controller.fault_bench import TIMEOUTS, Bench
from tests.integration.controller.worlds import World, prepared
from tests.proxy.server import Proxy
from tests.unit.controller.client.pki import Pki, make_pki

from hybridpg.controller.client import AiohttpTransport, Client, load_kubeconfig
from hybridpg.controller.testing import FakeCluster, FakeClusterServer
from hybridpg.controller.types import JsonObject


@pytest.fixture(
    params=["memory", "http", pytest.param("real", marks=pytest.mark.testenv)],
)
async def world(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[World]:
    """Each world in turn; every test of the suite runs unchanged in each."""
    if request.param == "real":
        testenv = request.getfixturevalue("testenv")
        transport = AiohttpTransport(await load_kubeconfig(testenv.kubeconfig))
        world = World(transport, collects_garbage=testenv.collects_garbage, in_memory=False)
        async with prepared(world):
            yield world
        await transport.close()
        return
    cluster = FakeCluster()
    if request.param == "memory":
        world = World(cluster, collects_garbage=True, in_memory=True)
        async with prepared(world):
            yield world
    else:
        async with FakeClusterServer(cluster) as server:
            path = tmp_path / "kubeconfig"
            path.write_text(json.dumps(server.kubeconfig()))
            transport = AiohttpTransport(await load_kubeconfig(path))
            world = World(transport, collects_garbage=True, in_memory=True)
            async with prepared(world):
                yield world
            await transport.close()
    await cluster.close()


@pytest.fixture
def create(real_client: Client, namespace: str) -> Callable[..., Awaitable[JsonObject]]:
    """Makes a ConfigMap in the namespace of the test."""

    async def make(name: str, **data: str) -> JsonObject:
        return await real_client.create(CONFIG_MAPS, config_map(name, **data), namespace=namespace)

    return make


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for the proxy."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def bench(
    testenv: TestEnv, real_client: Client, namespace: str, pki: Pki, tmp_path: Path
) -> AsyncIterator[Bench]:
    """An informer behind the proxy, not begun yet."""
    upstream = await load_kubeconfig(testenv.kubeconfig)
    context = pki.server_context()
    async with Proxy(upstream, tls=context, authority=pki.ca, aliases={namespace: "NS"}) as proxy:
        config = await load_kubeconfig(proxy.write_kubeconfig(tmp_path / "kubeconfig"))
        client = Client(AiohttpTransport(config, timeouts=TIMEOUTS))
        made = Bench(proxy, real_client, client, namespace)
        yield made
        await made.end()
        await client.close()
