"""The client deletes on a real API server what it means to, and what hangs on it goes too."""

from __future__ import annotations

import asyncio

import pytest
from tests.fix_testenv import TestEnv
from tests.integration.controller.client_objects import CONFIG_MAPS, config_map, watch_until
from tests.requirements import require

from hybridpg.controller.client import Client
from hybridpg.controller.errors import Conflict, NotFound
from hybridpg.controller.types import NAMESPACES, ObjectKey

pytestmark = pytest.mark.testenv


@pytest.mark.parametrize("field", ["uid", "resource_version"])
async def test_a_deletion_with_a_wrong_precondition_is_a_conflict(
    real_client, namespace, create, field: str
):
    await create("a")
    key = ObjectKey(namespace, "a")

    with pytest.raises(Conflict):
        await real_client.delete(CONFIG_MAPS, key, **{field: "1"})
    await real_client.get(CONFIG_MAPS, key)


async def test_a_deletion_with_the_right_preconditions_succeeds(real_client, namespace, create):
    meta = (await create("a"))["metadata"]
    key = ObjectKey(namespace, "a")

    await real_client.delete(
        CONFIG_MAPS, key, uid=meta["uid"], resource_version=meta["resourceVersion"]
    )

    with pytest.raises(NotFound):
        await real_client.delete(CONFIG_MAPS, key)


async def test_what_an_object_owns_goes_with_it(
    real_client: Client, namespace: str, create, testenv: TestEnv
):
    require(testenv.collects_garbage, "no kube-controller-manager here to collect garbage")
    owner = await create("owner")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [reference]
    await real_client.create(CONFIG_MAPS, owned, namespace=namespace)

    version = (await real_client.list(CONFIG_MAPS, namespace=namespace)).resource_version
    await real_client.delete(CONFIG_MAPS, ObjectKey(namespace, "owner"), propagation="Background")
    events = await watch_until(
        real_client, namespace, lambda seen: len(seen) >= 2, resource_version=version
    )

    assert [(event.type, event.object.name) for event in events] == [
        ("DELETED", "owner"),
        ("DELETED", "owned"),
    ]


async def test_a_deleted_namespace_is_emptied_and_goes(
    real_client: Client, namespace: str, create, testenv: TestEnv
):
    require(testenv.collects_garbage, "no kube-controller-manager here to empty namespaces")
    await create("a")
    await real_client.delete(NAMESPACES, ObjectKey("", namespace))

    async with asyncio.timeout(20):
        while (await real_client.list(CONFIG_MAPS, namespace=namespace)).items:
            await asyncio.sleep(0.02)
