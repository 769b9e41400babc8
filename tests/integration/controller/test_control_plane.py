"""The control plane of the pytest plugin, started for real."""

from __future__ import annotations

import os
import uuid

import pytest
from tests.fix_testenv import TestEnv

from hybridpg.controller import (
    NAMESPACES,
    SECRETS,
    AiohttpTransport,
    Client,
    NotFound,
    ObjectKey,
    controller_reference,
)
from hybridpg.controller.client import load_kubeconfig
from hybridpg.controller.testing import ControlPlane, eventually

pytestmark = pytest.mark.testenv


async def test_it_starts_answers_collects_garbage_and_leaves_nothing_behind(testenv: TestEnv):
    with ControlPlane(testenv.binaries) as plane:
        config = await load_kubeconfig(plane.kubeconfig)
        client = Client(AiohttpTransport(config))
        assert (await client.get(NAMESPACES, ObjectKey("", "kube-system")))["metadata"]["uid"]
        if plane.collects_garbage:
            await check_garbage(client)
        await client.close()
        folder = plane.kubeconfig.parent
        processes = [each.pid for each in plane._running.values()]

    assert not folder.exists()
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


async def check_garbage(client: Client) -> None:
    name = f"owner-{uuid.uuid4().hex[:8]}"
    await eventually(lambda: client.get(NAMESPACES, ObjectKey("", "default")))
    owner = await client.create(SECRETS, {"metadata": {"name": name}}, namespace="default")
    owned = {
        "metadata": {
            "name": f"{name}-owned",
            "ownerReferences": [controller_reference(SECRETS, owner)],
        }
    }
    await client.create(SECRETS, owned, namespace="default")
    await client.delete(SECRETS, ObjectKey("default", name))

    async def gone() -> bool:
        try:
            await client.get(SECRETS, ObjectKey("default", f"{name}-owned"))
        except NotFound:
            return True
        return False

    await eventually(gone, seconds=60)
