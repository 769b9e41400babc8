"""StatefulSets, services and claims in every world: defaults, refusals, merges and owners.

Where a world differs, FakeCluster is wrong.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.controller.schemas import FILE, described, text_of
from tests.integration.controller.worlds import Answer, Json, World

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig

STRATEGIC = "application/strategic-merge-patch+json"
TEMPLATE: Json = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"memory": "1024Mi", "cpu": "0.5"}},
                "readinessProbe": {"httpGet": {"port": 80}},
            }
        ],
        "volumes": [{"name": "s", "secret": {"secretName": "x"}}],
    },
}
CLAIM: Json = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1024Mi"}},
}


def sets(world: World) -> str:
    return f"/apis/apps/v1/namespaces/{world.namespace}/statefulsets"


def core(world: World, plural: str) -> str:
    return f"/api/v1/namespaces/{world.namespace}/{plural}"


def stateful(name: str = "x", **spec: Any) -> Json:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": "x",
            "selector": {"matchLabels": {"a": "b"}},
            "template": json.loads(json.dumps(TEMPLATE)),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM}],
            **spec,
        },
    }


def of(answer: Answer, manager: str) -> Json:
    entries: list[Json] = answer.meta["managedFields"]
    found: Json = next(entry["fieldsV1"] for entry in entries if entry["manager"] == manager)
    return found


async def test_a_stateful_set_is_completed(world: World):
    made = await world.post(sets(world), stateful())
    spec = made.json["spec"]
    assert made.meta["generation"] == 1
    assert (spec["replicas"], spec["podManagementPolicy"]) == (1, "OrderedReady")
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert spec["updateStrategy"] == strategy
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == kept
    assert spec["template"]["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "i",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                "readinessProbe": {
                    "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "timeoutSeconds": 1,
                    "periodSeconds": 10,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                },
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "Always",
            }
        ],
        "volumes": [{"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    claim = spec["volumeClaimTemplates"][0]
    assert claim["status"] == {"phase": "Pending"}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeMode": "Filesystem",
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"serviceName": "y"}, id="service"),
        pytest.param({"volumeClaimTemplates": None}, id="claims"),
        pytest.param({"podManagementPolicy": "Parallel"}, id="policy"),
    ],
)
async def test_most_of_a_stateful_set_never_changes(world: World, change: Json):
    await world.post(sets(world), stateful())
    refused = await world.merge(f"{sets(world)}/x", {"spec": change})
    assert refused.status == 422
    assert refused.causes == {
        (
            "spec",
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', "
            "'template', 'updateStrategy', 'revisionHistoryLimit', "
            "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )
    }


async def test_what_may_change_in_a_stateful_set_counts_a_generation(world: World):
    await world.post(sets(world), stateful())
    grown = await world.merge(f"{sets(world)}/x", {"spec": {"replicas": 3}})
    assert (grown.status, grown.meta["generation"]) == (200, 2)
    status = {"status": {"replicas": 3, "readyReplicas": 2}}
    told = await world.merge(f"{sets(world)}/x/status", status)
    assert (told.json["status"]["readyReplicas"], told.meta["generation"]) == (2, 2)


async def test_a_selector_must_find_the_template(world: World):
    other = {"metadata": {"labels": {"a": "c"}}, "spec": TEMPLATE["spec"]}
    refused = await world.post(sets(world), stateful(template=other))
    problem = 'Invalid value: {"a":"c"}: `selector` does not match template `labels`'
    assert ("spec.template.metadata.labels", problem) in refused.causes


async def test_a_container_has_a_name_an_image_and_volumes_that_are_there(world: World):
    broken = [
        {"name": "C!", "image": "i"},
        {"name": "x"},
        {"name": "y", "image": "i", "volumeMounts": [{"name": "no", "mountPath": "/x"}]},
    ]
    template = {**TEMPLATE, "spec": {"containers": broken}}
    refused = await world.post(sets(world), stateful(template=template))
    found = {field for field, _ in refused.causes}
    path = "spec.template.spec.containers"
    assert found == {f"{path}[0].name", f"{path}[1].image", f"{path}[2].volumeMounts[0].name"}


async def test_a_strategic_patch_merges_containers_by_name(world: World):
    await world.post(sets(world), stateful())
    containers = [{"name": "c", "image": "j"}, {"name": "d", "image": "q"}]
    body = {"spec": {"template": {"spec": {"containers": containers}}}}
    done = await world.call("PATCH", f"{sets(world)}/x", body, kind=STRATEGIC)
    found = done.json["spec"]["template"]["spec"]["containers"]
    assert [(item["name"], item["image"]) for item in found] == [("c", "j"), ("d", "q")]
    assert found[0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


async def test_a_strategic_patch_deletes_an_item_that_it_names(world: World):
    await world.post(sets(world), stateful())
    body = {"spec": {"template": {"spec": {"volumes": [{"name": "s", "$patch": "delete"}]}}}}
    done = await world.call("PATCH", f"{sets(world)}/x", body, kind=STRATEGIC)
    assert not done.json["spec"]["template"]["spec"].get("volumes")


@pytest.mark.parametrize(
    ("order", "names"), [(None, ["d", "c"]), (["c", "d"], ["c", "d"]), (["d", "c"], ["d", "c"])]
)
async def test_a_strategic_patch_may_order_what_it_merges(
    world: World, order: list[str] | None, names: list[str]
):
    await world.post(sets(world), stateful())
    pod: Json = {"containers": [{"name": "d", "image": "q"}]}
    if order:
        pod["$setElementOrder/containers"] = [{"name": name} for name in order]
    body = {"spec": {"template": {"spec": pod}}}
    done = await world.call("PATCH", f"{sets(world)}/x", body, kind=STRATEGIC)
    found = done.json["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in found] == names


async def test_fields_of_containers_are_owned_one_by_one(world: World):
    made = await world.apply(f"{sets(world)}/x", stateful(), fieldManager="a1")
    container = of(made, "a1")["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert container["f:ports"] == {
        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}
    }
    again = await world.apply(f"{sets(world)}/x", stateful(), fieldManager="a1")
    assert again.version == made.version
    other = stateful()
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "k"
    refused = await world.apply(f"{sets(world)}/x", other, fieldManager="a2")
    path = '.spec.template.spec.containers[name="c"]'
    # quantities that the server wrote in its own way differ from those of the manifest
    rewritten = (f"{path}.resources.requests.cpu", f"{path}.resources.requests.memory")
    assert {field for field, _ in refused.causes} == {
        f"{path}.image",
        ".spec.volumeClaimTemplates",
        *rewritten,
    }


async def test_an_applier_that_drops_a_container_removes_it(world: World):
    both = stateful()
    both["spec"]["template"]["spec"]["containers"].append({"name": "d", "image": "q"})
    await world.apply(f"{sets(world)}/x", both, fieldManager="a1")
    left = await world.apply(f"{sets(world)}/x", stateful(), fieldManager="a1")
    found = left.json["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in found] == ["c"]


def service(name: str = "x", **spec: Any) -> Json:
    ports = [{"port": 80}]
    body = {"selector": {"a": "b"}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


async def test_a_service_gets_an_address_and_keeps_it(world: World):
    made = await world.post(core(world, "services"), service())
    spec = made.json["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"]) == ("ClusterIP", "None")
    path = f"{core(world, 'services')}/x"
    kept = await world.put(path, service(ports=[{"port": 81}]))
    assert kept.json["spec"]["clusterIP"] == spec["clusterIP"]
    moved = await world.merge(path, {"spec": {"clusterIP": "10.96.9.9"}})
    problem = 'Invalid value: ["10.96.9.9"]: may not change once set'
    assert moved.causes == {("spec.clusterIPs[0]", problem)}


async def test_nobody_owns_the_address_that_was_allocated(world: World):
    made = await world.post(core(world, "services"), service(), fieldManager="m")
    assert not {"f:clusterIP", "f:clusterIPs", "f:ipFamilies"} & of(made, "m")["f:spec"].keys()
    headless = service("h", clusterIP="None")
    asked = await world.post(core(world, "services"), headless, fieldManager="m")
    assert "f:clusterIP" in of(asked, "m")["f:spec"]
    assert asked.json["spec"]["clusterIPs"] == ["None"]


async def test_a_service_for_nodes_gets_ports_of_them(world: World):
    await world.post(core(world, "services"), service())
    path = f"{core(world, 'services')}/x"
    opened = await world.merge(path, {"spec": {"type": "NodePort"}})
    assert 30000 <= opened.json["spec"]["ports"][0]["nodePort"] < 32768
    assert opened.json["spec"]["externalTrafficPolicy"] == "Cluster"


async def test_ports_of_a_service_are_checked(world: World):
    ports = [{"port": 0}, {"port": 70000}]
    refused = await world.post(core(world, "services"), service(ports=ports, type="Foo"))
    assert {"spec.ports[0].port", "spec.ports[1].name", "spec.type"} <= {
        field for field, _ in refused.causes
    }
    bare = await world.post(core(world, "services"), service(ports=[]))
    assert bare.causes == {("spec.ports", "Required value")}


async def claim(world: World, size: str = "1024Mi", **query: str) -> Answer:
    spec = {**CLAIM, "resources": {"requests": {"storage": size}}}
    path = core(world, "persistentvolumeclaims")
    return await world.post(path, {"metadata": {"name": "x"}, "spec": spec}, **query)


async def test_a_claim_is_protected_and_waits(world: World):
    made = await claim(world)
    assert made.meta["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert made.json["status"] == {"phase": "Pending"}
    assert made.json["spec"]["volumeMode"] == "Filesystem"


async def resize(world: World, size: str) -> Answer:
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    return await world.merge(f"{core(world, 'persistentvolumeclaims')}/x", body)


async def test_a_claim_that_is_not_bound_does_not_change(world: World):
    await claim(world)
    for size in ("2Gi", "512Mi"):
        refused = await resize(world, size)
        start = "Forbidden: spec is immutable after creation except resources.requests and"
        assert [field for field, text in refused.causes if text.startswith(start)] == ["spec"]


async def test_a_bound_claim_does_not_shrink(world: World):
    await claim(world)
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    path = f"{core(world, 'persistentvolumeclaims')}/x"
    await world.merge(f"{path}/status", {"status": status})
    refused = await resize(world, "512Mi")
    problem = "Forbidden: field can not be less than status.capacity"
    assert refused.causes == {("spec.resources.requests.storage", problem)}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        *(("1024Mi", "1Gi"), ("1.5Gi", "1536Mi"), ("0.5", "500m"), ("1000m", "1"), ("1e3", "1e3")),
        *(("1000Ki", "1000Ki"), ("100k", "100k"), ("1000k", "1M"), ("1.5", "1500m")),
        *(("123456789", "123456789"), ("1024Ki", "1Mi")),
    ],
)
async def test_quantities_are_written_in_one_way(world: World, written: str, kept: str):
    made = await claim(world, written, dryRun="All")
    assert made.json["spec"]["resources"]["requests"]["storage"] == kept


async def test_what_is_no_quantity_cannot_be_read(world: World):
    refused = await claim(world, "1X")
    assert refused.status == 400
    assert refused.json["message"].startswith(
        'PersistentVolumeClaim in version "v1" cannot be handled as a PersistentVolumeClaim: '
        "quantities must match the regular expression"
    )


@pytest.mark.testenv
async def test_the_fields_of_workloads_are_those_of_the_server(testenv: Any):
    transport = AiohttpTransport(await load_kubeconfig(testenv.kubeconfig))
    assert text_of(await described(transport)) == FILE.read_text()
    await transport.close()
