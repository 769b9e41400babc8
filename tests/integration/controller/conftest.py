"""The worlds of the conformance suite: every test of it runs unchanged in each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.controller.worlds import World, prepared

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig
from hybridpg.controller.testing import FakeCluster, FakeClusterServer


@pytest.fixture(
    params=["memory", "http", pytest.param("real", marks=pytest.mark.testenv)],
)
async def world(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[World]:
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
