"""What a real API server says to old versions and old pages once its history is gone."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
import pytest
from tests.fix_testenv import TestEnv, client_of

from hybridpg.controller.client import Client
from hybridpg.controller.decode import decode_event
from hybridpg.controller.errors import Gone
from hybridpg.controller.types import JsonObject, ObjectKey, Resource
from hybridpg.controller.watcher import Changed, Listed, Watcher

pytestmark = pytest.mark.testenv

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SILENCE = 2.0
PATIENCE = 60.0


def config_map(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.fixture
async def own_client(own_testenv: TestEnv) -> AsyncIterator[Client]:
    client = await client_of(own_testenv)
    yield client
    await client.close()


async def forget_history(env: TestEnv) -> None:
    """Let etcd forget all versions but the newest, as it does every five minutes in production."""
    key = base64.b64encode(b"/registry").decode()
    async with aiohttp.ClientSession(env.etcd, raise_for_status=True) as etcd:
        async with etcd.post("/v3/kv/range", json={"key": key}) as answer:
            revision = (await answer.json())["header"]["revision"]
        async with etcd.post("/v3/kv/compaction", json={"revision": revision, "physical": True}):
            pass


async def test_old_versions_and_pages_are_gone_after_compaction_and_a_restart(
    own_testenv: TestEnv, own_client: Client
):
    created = [
        await own_client.create(CONFIG_MAPS, config_map(name), namespace="default")
        for name in ("a", "b", "c")
    ]
    old = created[0]["metadata"]["resourceVersion"]
    page = await own_client.list(CONFIG_MAPS, namespace="default", limit=1)
    assert page.continue_token
    await own_client.delete(CONFIG_MAPS, ObjectKey("default", "c"))
    await forget_history(own_testenv)

    # its cache still knows what etcd has forgotten
    await own_testenv.run("kill", "kube-apiserver")
    await own_testenv.run("start", "kube-apiserver")
    with pytest.raises(Gone):
        await own_client.list(
            CONFIG_MAPS, namespace="default", limit=1, continue_token=page.continue_token
        )
    stream = own_client.watch(
        CONFIG_MAPS, namespace="default", resource_version=old, timeout_seconds=10
    )
    with pytest.raises(Gone):
        [decode_event(line) async for lines in stream for line in lines]

    watcher = Watcher(own_client, CONFIG_MAPS, namespace="default")
    updates = watcher.updates()
    listed = await anext(updates)
    await updates.aclose()
    assert isinstance(listed, Listed)
    assert {"a", "b"} <= {obj.name for obj in listed.objects}


async def test_a_cache_holds_what_there_is_after_etcd_was_restored_from_a_backup(
    own_testenv: TestEnv, own_client: Client
):
    """The server says nothing to a watch from a version that was lost: no error, no bookmark."""
    backup = own_testenv.state / "backup"
    await own_client.create(CONFIG_MAPS, config_map("kept"), namespace="default")
    for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
        await own_testenv.run("stop", name)
    shutil.copytree(own_testenv.state / "etcd", backup)
    await start(own_testenv)
    for number in range(200):  # more versions than a start makes
        await own_client.create(CONFIG_MAPS, config_map(f"lost-{number}"), namespace="default")

    watcher = Watcher(own_client, CONFIG_MAPS, namespace="default", liveness=SILENCE)
    async with aclosing(watcher.updates()) as updates:
        assert "lost-0" in names(await anext(updates))
        for name in ("kube-apiserver", "etcd"):
            await own_testenv.run("kill", name)
        shutil.rmtree(own_testenv.state / "etcd")
        backup.rename(own_testenv.state / "etcd")
        await start(own_testenv)
        await own_client.create(CONFIG_MAPS, config_map("new"), namespace="default")

        async with asyncio.timeout(PATIENCE):
            found = names(await anext(updates))
    assert {"kept", "new"} <= found
    assert "lost-0" not in found


async def start(env: TestEnv) -> None:
    for name in ("etcd", "kube-apiserver"):
        await env.run("start", name)


def names(update: Listed | Changed) -> set[str]:
    assert isinstance(update, Listed), update
    return {obj.name for obj in update.objects}
