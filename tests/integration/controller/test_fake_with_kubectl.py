"""The real kubectl against FakeCluster: what people and scripts do with workloads by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hybridpg.controller.testing import FakeCluster, FakeClusterServer
from hybridpg.controller.testing.node import READY, START

pytestmark = pytest.mark.testenv

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
SET = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db"},
    "spec": {
        "serviceName": "db",
        "replicas": 2,
        "selector": {"matchLabels": {"app": "db"}},
        "template": {
            "metadata": {"labels": {"app": "db"}},
            "spec": {"containers": [{"name": "c", "image": "db:1"}]},
        },
    },
}


class Kubectl:
    """One kubectl; a call returns its status and all that it printed."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder

    async def __call__(self, *arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(str(self._program), "--kubeconfig", "kubeconfig", "--cache-dir", "cache"),
            *arguments,
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, output.decode()

    def write(self, name: str, obj: Any) -> str:
        (self._folder / name).write_text(json.dumps(obj))
        return name


@pytest.fixture
async def run(kubectl: Path, tmp_path: Path) -> AsyncIterator[Kubectl]:
    cluster = FakeCluster()
    quick = {START: 0.01, READY: 0.01}
    async with FakeClusterServer(cluster) as server, cluster.node(seconds=quick):
        (tmp_path / "kubeconfig").write_text(json.dumps(server.kubeconfig()))
        yield Kubectl(kubectl, tmp_path)
    await cluster.close()


async def test_an_apply_by_another_is_refused_with_advice_until_it_is_forced(run: Kubectl):
    first = run.write("first.json", CONFIG)
    other = run.write("other.json", {**CONFIG, "data": {"a": "9"}})
    by_other = ("apply", "--server-side", "--field-manager=other", "-f", other)
    assert await run("apply", "--server-side", "-f", first) == (
        0,
        "configmap/c serverside-applied\n",
    )
    status, text = await run(*by_other)
    assert status == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in text
    tried = await run(*by_other, "--force-conflicts", "--dry-run=server")
    assert tried == (0, "configmap/c serverside-applied (server dry run)\n")
    status, text = await run("diff", "-f", other)
    assert status == 1
    assert '-  a: "1"\n+  a: "9"' in text
    assert (await run(*by_other, "--force-conflicts"))[0] == 0
    status, text = await run("diff", "-f", other)
    assert (status, text) == (0, "")


async def test_a_client_side_apply_merges_containers_by_name(run: Kubectl):
    body = json.loads(json.dumps(SET))
    assert (await run("apply", "-f", run.write("set.json", body)))[0] == 0
    body["spec"]["template"]["spec"]["containers"].append({"name": "d", "image": "x"})
    assert (await run("apply", "-f", run.write("set.json", body)))[0] == 0
    path = "jsonpath={.spec.template.spec.containers[*].name}"
    assert await run("get", "sts", "db", "-o", path) == (0, "c d")
    del body["spec"]["template"]["spec"]["containers"][1]
    assert (await run("apply", "-f", run.write("set.json", body)))[0] == 0
    assert await run("get", "sts", "db", "-o", path) == (0, "c")


async def test_a_rollout_is_followed_to_its_end(run: Kubectl):
    assert (await run("apply", "-f", run.write("set.json", SET)))[0] == 0
    status, text = await run("rollout", "status", "statefulset/db", "--timeout=20s")
    assert status == 0
    assert "2 new pods have been updated" in text
    assert (await run("set", "image", "sts/db", "c=db:2"))[0] == 0
    assert (await run("rollout", "status", "statefulset/db", "--timeout=20s"))[0] == 0
    images = "jsonpath={.items[*].spec.containers[0].image}"
    assert await run("get", "pods", "-o", images) == (0, "db:2 db:2")
    status, text = await run("get", "sts", "db", "--no-headers")
    assert text.split()[:2] == ["db", "2/2"]


async def test_a_tried_delete_leaves_the_object(run: Kubectl):
    await run("apply", "-f", run.write("config.json", CONFIG))
    status, text = await run("delete", "configmap", "c", "--dry-run=server")
    assert (status, text) == (0, 'configmap "c" deleted from default namespace (server dry run)\n')
    assert (await run("get", "configmap", "c"))[0] == 0
