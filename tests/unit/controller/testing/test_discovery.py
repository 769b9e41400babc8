"""Discovery in both forms, and the paths beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.controller.testing.conftest import Api

from hybridpg.controller.testing import FakeCluster

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
NAMED = {"shortNames": ["th"], "categories": ["all"], "listKind": "Things", "singular": "thing"}
THING = {
    "name": "things",
    "singularName": "thing",
    "namespaced": True,
    "kind": "Thing",
    "verbs": VERBS,
    "shortNames": ["th"],
    "categories": ["all"],
}


async def with_things(api: Api, **more: Any) -> None:
    await api.define({"type": "object"}, names=NAMED, **more)
    await api("GET", "/version")  # comes after the definition is established


async def test_the_old_form_lists_the_core_versions(api: Api):
    status, answer = await api("GET", "/api")
    assert (status, answer["kind"], answer["versions"]) == (200, "APIVersions", ["v1"])


async def test_the_old_form_lists_groups_without_the_core(api: Api):
    await with_things(api)
    _, answer = await api("GET", "/apis")
    assert answer["kind"] == "APIGroupList"
    assert [group["name"] for group in answer["groups"]] == [
        "events.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "apps",
        "storage.k8s.io",
        "apiextensions.k8s.io",
        "example.com",
    ]


async def test_a_group_names_its_versions(api: Api):
    await with_things(api)
    version = {"groupVersion": "example.com/v1", "version": "v1"}
    assert await api("GET", "/apis/example.com") == (
        200,
        {
            "kind": "APIGroup",
            "apiVersion": "v1",
            "name": "example.com",
            "versions": [version],
            "preferredVersion": version,
        },
    )


async def test_the_resources_of_a_version(api: Api):
    await with_things(api)
    assert await api("GET", "/apis/example.com/v1") == (
        200,
        {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": "example.com/v1",
            "resources": [THING],
        },
    )


async def test_status_is_a_resource_of_its_own(api: Api):
    await with_things(api, subresources={"status": {}})
    _, answer = await api("GET", "/apis/example.com/v1")
    assert answer["resources"][1] == {
        "name": "things/status",
        "singularName": "",
        "namespaced": True,
        "kind": "Thing",
        "verbs": ["get", "patch", "update"],
    }


async def test_the_core_resources_have_their_short_names(api: Api):
    _, answer = await api("GET", "/api/v1")
    shorts = {entry["name"]: entry.get("shortNames") for entry in answer["resources"]}
    assert shorts == {
        "namespaces": ["ns"],
        "namespaces/status": None,
        "secrets": None,
        "configmaps": ["cm"],
        "serviceaccounts": ["sa"],
        "events": ["ev"],
        "pods": ["po"],
        "pods/status": None,
        "services": ["svc"],
        "services/status": None,
        "persistentvolumeclaims": ["pvc"],
        "persistentvolumeclaims/status": None,
        "persistentvolumes": ["pv"],
        "persistentvolumes/status": None,
    }
    namespaces = answer["resources"][0]
    assert not namespaces["namespaced"]
    assert "deletecollection" not in namespaces["verbs"]


async def test_the_aggregated_form_tells_all_in_one_answer(api: Api, cluster: FakeCluster):
    await with_things(api, subresources={"status": {}})
    answer = await cluster.request(
        "GET", "/apis", headers=(("Accept", f"{AGGREGATED}, application/json"),)
    )
    assert answer.headers["content-type"] == AGGREGATED
    body = json.loads(answer.body)
    assert body["kind"] == "APIGroupDiscoveryList"
    assert body["apiVersion"] == "apidiscovery.k8s.io/v2"
    group = body["items"][-1]
    assert group["metadata"] == {"name": "example.com"}
    kind = {"group": "example.com", "version": "v1", "kind": "Thing"}
    assert group["versions"] == [
        {
            "version": "v1",
            "freshness": "Current",
            "resources": [
                {
                    "resource": "things",
                    "responseKind": kind,
                    "scope": "Namespaced",
                    "singularResource": "thing",
                    "verbs": VERBS,
                    "shortNames": ["th"],
                    "categories": ["all"],
                    "subresources": [
                        {
                            "subresource": "status",
                            "responseKind": kind,
                            "verbs": ["get", "patch", "update"],
                        }
                    ],
                }
            ],
        }
    ]


async def test_the_aggregated_core_has_no_group_name(api: Api):
    _, body = await api("GET", "/api", accept=AGGREGATED)
    assert [item["metadata"] for item in body["items"]] == [{}]
    resources = body["items"][0]["versions"][0]["resources"]
    scopes = {entry["resource"]: entry["scope"] for entry in resources}
    assert scopes["namespaces"] == "Cluster"
    assert scopes["secrets"] == "Namespaced"


async def test_a_kind_that_goes_leaves_discovery(api: Api):
    await with_things(api)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com"
    assert (await api("DELETE", path))[0] == 200
    await api("GET", "/version")
    assert (await api("GET", "/apis/example.com/v1"))[0] == 404
    assert (await api("GET", "/apis/example.com"))[0] == 404


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health(cluster: FakeCluster, path: str):
    answer = await cluster.request("GET", path)
    assert (answer.status, answer.body) == (200, b"ok")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_the_version_is_one_that_clients_know(api: Api):
    status, answer = await api("GET", "/version")
    assert (status, answer["major"], answer["minor"]) == (200, "1", "34")
    assert answer["gitVersion"].startswith("v1.34.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nope"),
        ("GET", "/apis/nope.example.com"),
        ("GET", "/apis/nope.example.com/v1"),
        ("GET", "/apis/nope.example.com/v1/namespaces/default/things"),
        ("POST", "/version"),
    ],
)
async def test_nothing_is_there(cluster: FakeCluster, method: str, path: str):
    answer = await cluster.request(method, path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2",
        "/api/v1/nope",
        "/api/v1/secrets/a",
        "/api/v1/namespaces/default/namespaces",
        "/api/v1/namespaces/default/secrets/a/b/c",
    ],
)
async def test_nothing_is_there_under_the_core_api(api: Api, path: str):
    status, answer = await api("GET", path)
    assert (status, answer["reason"]) == (404, "NotFound")


async def test_the_version_is_told_with_a_slash_behind_as_well(api: Api):
    """Some clients ask so, and a real server answers."""
    assert await api("GET", "/version/") == await api("GET", "/version")
    assert (await api("GET", "/version/"))[0] == 200
