"""The simulated node, in virtual time: sets, claims and services, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.controller.testing.conftest import Api

from hybridpg.controller.testing import FakeCluster, SimulatedNode
from hybridpg.controller.testing.node import BIND, FILESYSTEM, READY, RESIZE, START

pytestmark = pytest.mark.virtual_time

Json = dict[str, Any]
SETS = "/apis/apps/v1/namespaces/default/statefulsets"
PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE = "application/merge-patch+json"
CLAIM: Json = {
    "metadata": {"name": "data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "standard",
    },
}


def stateful(replicas: int = 1, **spec: Any) -> Json:
    container = {"name": "c", "image": "db:1", "ports": [{"name": "sql", "containerPort": 5432}]}
    return {
        "metadata": {"name": "db"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [container]},
            },
            "volumeClaimTemplates": [CLAIM],
            **spec,
        },
    }


@pytest.fixture
async def node(cluster: FakeCluster, api: Api) -> AsyncIterator[SimulatedNode]:
    await api("POST", CLASSES, {"metadata": {"name": "standard"}, "provisioner": "example.com"})
    async with cluster.node() as node:
        yield node


async def one(api: Api, path: str) -> Json:
    status, found = await api("GET", path)
    assert status == 200, found
    return found


async def names(api: Api, path: str) -> list[str]:
    return [item["metadata"]["name"] for item in (await api("GET", path))[1]["items"]]


def ready(pod: Json) -> bool:
    conditions = pod["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def test_a_set_gets_its_claims_and_pods_in_order(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful(2))
    await asyncio.sleep(2)
    assert await names(api, PODS) == ["db-0"]
    assert await names(api, CLAIMS) == ["data-db-0"]
    await asyncio.sleep(10)
    assert await names(api, PODS) == ["db-0", "db-1"]
    status = (await one(api, f"{SETS}/db"))["status"]
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)
    assert status["currentRevision"] == status["updateRevision"]
    assert status["observedGeneration"] == 1


async def test_a_pod_of_a_set_knows_its_set_its_ordinal_and_its_claim(
    api: Api, node: SimulatedNode
):
    _, made = await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    pod = await one(api, f"{PODS}/db-0")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
    assert volume in pod["spec"]["volumes"]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-0", "db")
    assert ready(pod)


async def test_steps_take_their_time(cluster: FakeCluster, api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(0.5)
    assert (await one(api, f"{CLAIMS}/data-db-0"))["status"]["phase"] == "Bound"
    assert (await one(api, f"{PODS}/db-0"))["status"]["phase"] == "Pending"
    await asyncio.sleep(1)
    pod = await one(api, f"{PODS}/db-0")
    assert (pod["status"]["phase"], ready(pod)) == ("Running", False)
    await asyncio.sleep(2)
    assert ready(await one(api, f"{PODS}/db-0"))


@pytest.mark.parametrize(
    ("step", "name"), [(BIND, "data-db-0"), (START, "db-0"), (READY, "db-0"), (READY, "")]
)
async def test_a_step_is_held_until_it_is_released(
    api: Api, node: SimulatedNode, step: str, name: str
):
    node.hold(step, name)
    await api("POST", SETS, stateful())
    await asyncio.sleep(1000)
    assert "readyReplicas" not in (await one(api, f"{SETS}/db"))["status"]
    node.release(step, name)
    await asyncio.sleep(5)
    assert (await one(api, f"{SETS}/db"))["status"]["readyReplicas"] == 1


async def test_a_ready_pod_may_cease_to_be(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    node.fail(READY, "the probe fails", "db-0")
    await asyncio.sleep(1)
    assert not ready(await one(api, f"{PODS}/db-0"))
    node.release(READY, "db-0")
    await asyncio.sleep(1)
    assert ready(await one(api, f"{PODS}/db-0"))


async def test_parallel_pods_are_made_at_once(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful(3, podManagementPolicy="Parallel"))
    await asyncio.sleep(0.1)
    assert await names(api, PODS) == ["db-0", "db-1", "db-2"]


async def test_a_set_that_shrinks_loses_its_last_pods_and_keeps_their_claims(
    api: Api, node: SimulatedNode
):
    await api("POST", SETS, stateful(3))
    await asyncio.sleep(30)
    await api("PATCH", f"{SETS}/db", {"spec": {"replicas": 1}}, kind=MERGE)
    await asyncio.sleep(5)
    assert await names(api, PODS) == ["db-0"]
    assert await names(api, CLAIMS) == ["data-db-0", "data-db-1", "data-db-2"]


def image(text: str) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": text}]}}}}


async def test_a_new_template_replaces_pods_from_the_last_one(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful(2))
    await asyncio.sleep(30)
    before = (await one(api, f"{SETS}/db"))["status"]["currentRevision"]
    node.hold(READY, "db-1")
    await api("PATCH", f"{SETS}/db", image("db:2"), kind=MERGE)
    await asyncio.sleep(30)
    status = (await one(api, f"{SETS}/db"))["status"]
    assert (status["updatedReplicas"], status["currentReplicas"]) == (1, 1)
    assert status["currentRevision"] == before != status["updateRevision"]
    images = [(await one(api, f"{PODS}/db-{n}"))["spec"]["containers"][0]["image"] for n in (0, 1)]
    assert images == ["db:1", "db:2"]
    node.release(READY, "db-1")
    await asyncio.sleep(30)
    status = (await one(api, f"{SETS}/db"))["status"]
    assert (status["updatedReplicas"], status["readyReplicas"]) == (2, 2)
    assert status["currentRevision"] == status["updateRevision"]


async def test_pods_below_the_partition_and_pods_on_delete_stay(api: Api, node: SimulatedNode):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await api("POST", SETS, stateful(2, updateStrategy=rolling))
    await asyncio.sleep(30)
    await api("PATCH", f"{SETS}/db", image("db:2"), kind=MERGE)
    await asyncio.sleep(30)
    images = [(await one(api, f"{PODS}/db-{n}"))["spec"]["containers"][0]["image"] for n in (0, 1)]
    assert images == ["db:1", "db:2"]
    on_delete = {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}}
    await api("PATCH", f"{SETS}/db", on_delete, kind=MERGE)
    await api("PATCH", f"{SETS}/db", image("db:3"), kind=MERGE)
    await asyncio.sleep(30)
    assert (await one(api, f"{PODS}/db-1"))["spec"]["containers"][0]["image"] == "db:2"


async def test_the_pods_of_a_deleted_set_go_and_its_claims_stay(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    await api("DELETE", f"{SETS}/db")
    await asyncio.sleep(1)
    assert await names(api, PODS) == []
    assert await names(api, CLAIMS) == ["data-db-0"]


async def test_a_claim_is_bound_to_a_volume_of_its_class(api: Api, node: SimulatedNode):
    await api("POST", CLAIMS, CLAIM)
    await asyncio.sleep(1)
    claim = await one(api, f"{CLAIMS}/data")
    assert claim["status"]["capacity"] == {"storage": "1Gi"}
    volume = await one(api, f"{VOLUMES}/{claim['spec']['volumeName']}")
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert volume["status"]["phase"] == "Bound"


async def test_a_claim_without_a_class_takes_the_default_one_or_waits(
    api: Api, node: SimulatedNode
):
    spec = {name: value for name, value in CLAIM["spec"].items() if name != "storageClassName"}
    await api("POST", CLAIMS, {"metadata": {"name": "data"}, "spec": spec})
    await asyncio.sleep(10)
    assert (await one(api, f"{CLAIMS}/data"))["status"]["phase"] == "Pending"
    default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    await api("PATCH", f"{CLASSES}/standard", default, kind=MERGE)
    await asyncio.sleep(1)
    claim = await one(api, f"{CLAIMS}/data")
    assert (claim["status"]["phase"], claim["spec"]["storageClassName"]) == ("Bound", "standard")


async def test_a_class_may_wait_for_a_pod(api: Api, node: SimulatedNode):
    late = {
        "metadata": {"name": "late"},
        "provisioner": "example.com",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    await api("POST", CLASSES, late)
    claim = {"metadata": {"name": "data"}, "spec": {**CLAIM["spec"], "storageClassName": "late"}}
    await api("POST", CLAIMS, claim)
    await asyncio.sleep(10)
    assert (await one(api, f"{CLAIMS}/data"))["status"]["phase"] == "Pending"
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    pod = {"containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
    await api("POST", PODS, {"metadata": {"name": "p"}, "spec": pod})
    await asyncio.sleep(10)
    assert (await one(api, f"{CLAIMS}/data"))["status"]["phase"] == "Bound"


async def grow(api: Api, size: str = "2Gi") -> tuple[int, Json]:
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    return await api("PATCH", f"{CLAIMS}/data-db-0", body, kind=MERGE)


def stage(claim: Json) -> tuple[str, list[str]]:
    status = claim["status"]
    conditions = [condition["type"] for condition in status.get("conditions") or ()]
    return (status.get("allocatedResourceStatuses") or {}).get("storage", ""), conditions


async def test_growth_goes_through_the_conditions_of_a_real_volume(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    await grow(api)
    path = f"{CLAIMS}/data-db-0"
    await asyncio.sleep(0.5)
    assert stage(await one(api, path)) == ("ControllerResizeInProgress", ["Resizing"])
    await asyncio.sleep(1)
    claim = await one(api, path)
    assert stage(claim) == ("NodeResizePending", ["Resizing", "FileSystemResizePending"])
    assert claim["status"]["capacity"] == {"storage": "1Gi"}
    await asyncio.sleep(40)
    claim = await one(api, path)
    assert stage(claim) == ("", [])
    assert (
        claim["status"]["capacity"] == claim["status"]["allocatedResources"] == {"storage": "2Gi"}
    )
    volume = await one(api, f"{VOLUMES}/{claim['spec']['volumeName']}")
    assert volume["spec"]["capacity"] == {"storage": "2Gi"}


async def test_a_file_system_never_grows_without_a_pod(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    await api("PATCH", f"{SETS}/db", {"spec": {"replicas": 0}}, kind=MERGE)
    await grow(api)
    await asyncio.sleep(1000)
    assert stage(await one(api, f"{CLAIMS}/data-db-0"))[0] == "NodeResizePending"
    await api("PATCH", f"{SETS}/db", {"spec": {"replicas": 1}}, kind=MERGE)
    await asyncio.sleep(100)
    assert stage(await one(api, f"{CLAIMS}/data-db-0")) == ("", [])


async def test_a_failing_file_system_says_why_and_goes_on_when_it_is_mended(
    api: Api, node: SimulatedNode
):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    node.fail(FILESYSTEM, "the device is busy", "data-db-0")
    await grow(api)
    await asyncio.sleep(100)
    claim = await one(api, f"{CLAIMS}/data-db-0")
    assert stage(claim)[1][-1] == "NodeResizeError"
    assert claim["status"]["conditions"][-1]["message"] == "the device is busy"
    node.release(FILESYSTEM, "data-db-0")
    await asyncio.sleep(100)
    assert stage(await one(api, f"{CLAIMS}/data-db-0")) == ("", [])


async def test_growth_is_held_where_the_controller_is(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    node.hold(RESIZE)
    await grow(api)
    await asyncio.sleep(1000)
    assert stage(await one(api, f"{CLAIMS}/data-db-0"))[0] == "ControllerResizeInProgress"


async def test_a_claim_never_shrinks_below_what_it_has(api: Api, node: SimulatedNode):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    status, refused = await grow(api, "512Mi")
    assert status == 422
    assert "field can not be less than status.capacity" in refused["message"]


async def test_a_claim_in_use_outlives_its_deletion_until_the_pod_goes(
    api: Api, node: SimulatedNode
):
    await api("POST", SETS, stateful())
    await asyncio.sleep(10)
    volume = (await one(api, f"{CLAIMS}/data-db-0"))["spec"]["volumeName"]
    await api("DELETE", f"{CLAIMS}/data-db-0")
    await asyncio.sleep(10)
    assert await names(api, CLAIMS) == ["data-db-0"]
    await api("DELETE", f"{SETS}/db")
    await asyncio.sleep(10)
    assert await names(api, CLAIMS) == []
    assert (await api("GET", f"{VOLUMES}/{volume}"))[0] == 404


async def test_a_volume_that_is_to_be_kept_is_released(api: Api, node: SimulatedNode):
    kept = {"metadata": {"name": "kept"}, "provisioner": "example.com", "reclaimPolicy": "Retain"}
    await api("POST", CLASSES, kept)
    claim = {"metadata": {"name": "data"}, "spec": {**CLAIM["spec"], "storageClassName": "kept"}}
    await api("POST", CLAIMS, claim)
    await asyncio.sleep(1)
    volume = (await one(api, f"{CLAIMS}/data"))["spec"]["volumeName"]
    await api("DELETE", f"{CLAIMS}/data")
    await asyncio.sleep(1)
    assert (await one(api, f"{VOLUMES}/{volume}"))["status"]["phase"] == "Released"


async def test_a_service_has_the_endpoints_that_its_selector_finds(api: Api, node: SimulatedNode):
    service = {"selector": {"app": "db"}, "ports": [{"port": 5432, "targetPort": "sql"}]}
    await api("POST", SERVICES, {"metadata": {"name": "db"}, "spec": service})
    await api("POST", SETS, stateful(2))
    await asyncio.sleep(30)
    found = (await one(api, SLICES))["items"]
    assert len(found) == 1
    assert found[0]["metadata"]["labels"] == {"kubernetes.io/service-name": "db"}
    assert [e["targetRef"]["name"] for e in found[0]["endpoints"]] == ["db-0", "db-1"]
    assert found[0]["ports"] == [{"name": "", "port": 5432, "protocol": "TCP"}]
    node.fail(READY, "down", "db-1")
    await asyncio.sleep(1)
    endpoints = (await one(api, SLICES))["items"][0]["endpoints"]
    assert [endpoint["conditions"]["ready"] for endpoint in endpoints] == [True, False]
    await api("DELETE", f"{SERVICES}/db")
    await asyncio.sleep(1)
    assert await names(api, SLICES) == []


async def test_a_node_that_is_done_leaves_everything_as_it_is(cluster: FakeCluster, api: Api):
    async with cluster.node(seconds={START: 0, READY: 0}):
        await api(
            "POST",
            PODS,
            {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        )
        await asyncio.sleep(0.1)
        assert ready(await one(api, f"{PODS}/p"))
    await api(
        "POST",
        PODS,
        {"metadata": {"name": "q"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    )
    await asyncio.sleep(100)
    assert (await one(api, f"{PODS}/q"))["status"]["phase"] == "Pending"
