"""The operator as a process: it starts, says so, and ends when told, whatever hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.unit.controller.elections import Line

from hybridpg.app import Config, ConfigError, run_operator
from hybridpg.app.kinds import SERVERS
from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    LEASES,
    Client,
    LeaseConfig,
    LeaseLost,
    MergePatch,
    ObjectKey,
)
from hybridpg.controller.testing import FakeCluster
from hybridpg.controller.tracing import Tracing
from hybridpg.crds.manifest import crd_yaml

pytestmark = pytest.mark.virtual_time


def config_of(**values: Any) -> Config:
    return Config.model_validate({"backend": "external", **values})


@pytest.fixture
async def cluster() -> FakeCluster:
    made = FakeCluster(seed=1)
    for document in yaml.safe_load_all(crd_yaml()):
        await Client(made).create(CUSTOM_RESOURCE_DEFINITIONS, document)
    return made


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_it_says_when_it_has_started_and_ends_when_told(cluster: FakeCluster):
    stop, started = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(run_operator(config_of(), cluster, stop, on_started=started.set))
    await started.wait()
    stop.set()
    before = now()
    await task
    assert now() - before < 10


async def test_its_requests_have_spans_with_a_tracing(cluster: FakeCluster):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    stop = asyncio.Event()
    await run_operator(config_of(), cluster, stop, tracing=Tracing(provider), on_started=stop.set)
    names = {span.name for span in exporter.get_finished_spans()}
    assert "WATCH postgresqlservers" in names, names
    provider.shutdown()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/api/v1/namespaces/kube-system", id="cluster-id"),
        pytest.param("/apis/hybridcloud*", id="first-list"),
    ],
)
async def test_a_start_that_hangs_ends_when_told(cluster: FakeCluster, path: str):
    """H18: SIGTERM ends it in under ten seconds, also while the API server does not answer."""
    cluster.faults.delay(1e6, path=path, times=100)
    stop = asyncio.Event()
    task = asyncio.create_task(run_operator(config_of(), cluster, stop))
    await asyncio.sleep(30)
    assert not task.done()
    stop.set()
    before = now()
    await task
    assert now() - before < 10


async def test_a_cluster_without_identity_is_refused_with_the_line_to_add(cluster: FakeCluster):
    cluster.faults.error(403, "Forbidden", method="GET", times=100)
    with pytest.raises(ConfigError, match="cluster_id"):
        await run_operator(config_of(), cluster, asyncio.Event())


async def test_cancelling_a_start_leaves_nothing_behind(cluster: FakeCluster):
    cluster.faults.delay(1e6, path="/api/v1/namespaces/kube-system")
    task = asyncio.create_task(run_operator(config_of(), cluster, asyncio.Event()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert [each.get_name() for each in others if "operator" in repr(each)] == []


LEASE = LeaseConfig("default", "hybridpg")
KEY = ObjectKey("default", "hybridpg")
SERVER = {
    "apiVersion": SERVERS.api_version,
    "kind": SERVERS.kind,
    "metadata": {"name": "pg", "namespace": "default"},
    "spec": {"credentialsSecret": "pg-login"},
}


async def test_of_two_replicas_one_works_and_gives_way_when_told(cluster: FakeCluster):
    """D77: the other one writes nothing but its attempts to get the lease."""
    stops, started = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]
    lines = [Line(cluster), Line(cluster)]
    tasks = [
        asyncio.create_task(run_operator(config_of(), line, stop, lease=LEASE, on_started=up.set))
        for line, stop, up in zip(lines, stops, started, strict=True)
    ]
    for up in started:
        await up.wait()
    await asyncio.sleep(5)
    await Client(cluster).create(SERVERS, SERVER, namespace="default")
    await asyncio.sleep(5)
    first = (await Client(cluster).get(LEASES, KEY))["spec"]
    assert [patches(line) > 0 for line in lines] == [True, False]
    stops[0].set()
    await tasks[0]
    await asyncio.sleep(1)
    second = (await Client(cluster).get(LEASES, KEY))["spec"]
    assert (first["leaseTransitions"], second["leaseTransitions"]) == (1, 2)
    assert first["holderIdentity"] != second["holderIdentity"]
    spec = MergePatch({"spec": {"size": {"cpu": 2}}})
    await Client(cluster).patch(SERVERS, ObjectKey("default", "pg"), spec)
    await asyncio.sleep(5)
    assert patches(lines[1]) > 0
    stops[1].set()
    await tasks[1]


def patches(line: Line) -> int:
    """How often a replica changed an object; a lease is replaced and not patched."""
    return sum(method == "PATCH" for _, method in line.sent)


async def test_the_loss_of_the_lease_ends_it_with_an_error(cluster: FakeCluster):
    task = asyncio.create_task(
        run_operator(config_of(), Line(cluster), asyncio.Event(), lease=LEASE)
    )
    await asyncio.sleep(5)
    patch = MergePatch({"spec": {"holderIdentity": "another"}})
    await Client(cluster).patch(LEASES, KEY, patch)
    with pytest.raises(LeaseLost, match=r"leader election lost: .* is held by another"):
        await task


async def test_without_a_lease_nobody_is_asked_for_one(cluster: FakeCluster):
    stop = asyncio.Event()
    task = asyncio.create_task(run_operator(config_of(), cluster, stop))
    await asyncio.sleep(5)
    stop.set()
    await task
    assert not [request for request in cluster.requests if "leases" in request.path]
