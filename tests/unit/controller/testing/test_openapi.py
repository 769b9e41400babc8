"""OpenAPI: what ``kubectl explain`` and client-side field validation read."""

from __future__ import annotations

import re

import pytest
from tests.unit.controller.testing.conftest import Api, Json

SPEC = {
    "type": "object",
    "properties": {"size": {"type": "integer", "description": "How large."}},
}
GVK = "x-kubernetes-group-version-kind"
THING_GVK = {"group": "example.com", "version": "v1", "kind": "Thing"}


@pytest.fixture
async def document(api: Api) -> Json:
    await api.define(SPEC)
    await api("GET", "/version")
    status, answer = await api("GET", "/openapi/v3/apis/example.com/v1")
    assert status == 200
    return answer


async def hashes(api: Api) -> dict[str, str]:
    _, index = await api("GET", "/openapi/v3")
    return {name: entry["serverRelativeURL"] for name, entry in index["paths"].items()}


async def test_the_index_leads_to_every_group_version(api: Api, document: Json):
    found = await hashes(api)
    assert set(found) == {
        "api/v1",
        "apis/events.k8s.io/v1",
        "apis/coordination.k8s.io/v1",
        "apis/apps/v1",
        "apis/discovery.k8s.io/v1",
        "apis/storage.k8s.io/v1",
        "apis/apiextensions.k8s.io/v1",
        "apis/example.com/v1",
    }
    for place, url in found.items():
        assert re.fullmatch(rf"/openapi/v3/{re.escape(place)}\?hash=[0-9A-F]{{128}}", url)
        path, _, mark = url.partition("?hash=")
        status, answer = await api("GET", path, hash=mark)
        assert (status, answer["openapi"]) == (200, "3.0.0")


async def test_a_hash_changes_with_its_schema_and_no_other_does(api: Api):
    await api.define(SPEC)
    await api("GET", "/version")
    before = await hashes(api)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com"
    place = "/spec/versions/0/schema/openAPIV3Schema/description"
    patch = [{"op": "add", "path": place, "value": "Changed."}]
    assert (await api("PATCH", path, patch, kind="application/json-patch+json"))[0] == 200
    await api("GET", "/version")
    after = await hashes(api)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"apis/example.com/v1"}


async def test_the_schema_of_a_kind_is_found_by_its_group_version_kind(document: Json):
    found = [
        schema
        for schema in document["components"]["schemas"].values()
        if THING_GVK in schema.get(GVK, ())
    ]
    assert len(found) == 1
    assert found[0]["properties"]["spec"] == SPEC
    assert found[0]["properties"]["kind"]["type"] == "string"
    assert found[0]["properties"]["apiVersion"]["type"] == "string"


async def test_all_references_lead_somewhere(document: Json):
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert references == {
        "com.example.v1.Thing",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    }
    assert references <= set(schemas)


async def test_writes_say_that_the_server_validates_fields(document: Json):
    path = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/things/{name}"]
    for verb in ("put", "patch"):
        assert [parameter["name"] for parameter in path[verb]["parameters"]] == ["fieldValidation"]
        assert path[verb][GVK] == THING_GVK
    assert path["get"]["parameters"] == []


async def test_namespaced_kinds_are_listed_across_namespaces_too(document: Json):
    paths = document["paths"]
    assert set(paths) == {
        "/apis/example.com/v1/namespaces/{namespace}/things",
        "/apis/example.com/v1/namespaces/{namespace}/things/{name}",
        "/apis/example.com/v1/things",
    }
    assert set(paths["/apis/example.com/v1/things"]) == {"get"}


async def test_cluster_scoped_kinds_have_no_namespace_in_their_paths(api: Api):
    _, document = await api("GET", "/openapi/v3/api/v1")
    assert "/api/v1/namespaces/{name}" in document["paths"]
    assert "/api/v1/namespaces/{namespace}/namespaces" not in document["paths"]
    assert "io.k8s.api.core.v1.Secret" in document["components"]["schemas"]


@pytest.mark.parametrize("path", ["api/v9", "apis/nope/v1", "apis/nope", "apis", "nope/v1"])
async def test_there_is_no_document_of_what_is_not_served(api: Api, path: str):
    assert (await api("GET", f"/openapi/v3/{path}"))[0] == 404
