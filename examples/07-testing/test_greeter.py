"""Tests of a controller; ``pip install 'hybridpg[testing]'`` brings the fixtures and the marker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from greeter import HELLOS, greeter

from hybridpg.controller import CUSTOM_RESOURCE_DEFINITIONS, Client, ObjectKey
from hybridpg.controller.testing import eventually

DEFINITION = Path(__file__).parents[1] / "01-hello" / "hello.yaml"
WORLD = ObjectKey("default", "world")


async def prepare(client: Client) -> None:
    definition, hello = yaml.safe_load_all(DEFINITION.read_text())
    status = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    status["properties"]["count"] = {"type": "integer"}
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)
    # a real server takes a second until a new kind is there
    await eventually(lambda: client.create(HELLOS, hello, namespace="default"))


async def count(client: Client) -> int:
    found = await client.get(HELLOS, WORLD)
    return int((found.get("status") or {}).get("count", 0))


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_everybody_is_greeted_once_an_hour(fake_cluster):
    """A day passes in no time, and to the second."""
    client = Client(fake_cluster)
    await prepare(client)
    async with greeter(client):
        await asyncio.sleep(24 * 3600 - 1)
        assert await count(client) == 24


@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_a_lost_answer_is_made_up_for(fake_cluster):
    client = Client(fake_cluster)
    await prepare(client)
    fake_cluster.faults.lost_before(method="PATCH")
    async with greeter(client):
        await eventually(lambda: greeted(client))


async def greeted(client: Client) -> bool:
    return await count(client) > 0


@pytest.mark.asyncio
async def test_a_real_api_server_agrees(control_plane_client):
    """Skips where there is no kube-apiserver; see ``KUBEBUILDER_ASSETS``."""
    client = control_plane_client
    await prepare(client)
    async with greeter(client):
        await eventually(lambda: greeted(client))
