"""Built-in kinds and defined ones have rules and tables of their own, in FakeCluster too."""

from __future__ import annotations

import json

import pytest
from tests.integration.controller.worlds import DEFINITIONS, World


async def test_string_data_is_folded_into_data(world: World):
    body = {"metadata": {"name": "a"}, "data": {"k": "YQ=="}, "stringData": {"t": "b"}}
    made = await world.post(world.secrets, body)
    assert made.json["data"] == {"k": "YQ==", "t": "Yg=="}
    assert "stringData" not in made.json
    assert made.json["type"] == "Opaque"


async def test_what_a_secret_refuses(world: World):
    bad = await world.post(world.secrets, {"metadata": {"name": "a"}, "data": {"k": "!!"}})
    assert bad.status == 400
    assert "illegal base64 data at input byte 0" in bad.json["message"]
    await world.post(world.secrets, {"metadata": {"name": "a"}, "immutable": True})
    path = f"{world.secrets}/a"
    retyped = await world.merge(path, {"type": "other"})
    assert ("type", 'Invalid value: "other": field is immutable') in retyped.causes
    changed = await world.merge(path, {"data": {"k": "YQ=="}})
    problem = "Forbidden: field is immutable when `immutable` is set"
    assert changed.causes == {("data", problem)}


NEW_EVENT = {
    "metadata": {"name": "new"},
    "reason": "Created",
    "note": "it is there",
    "type": "Normal",
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "action": "Create",
    "reportingController": "tests",
    "reportingInstance": "tests-1",
}


async def test_events_are_one_object_with_two_faces(world: World):
    about = {"kind": "Widget", "name": "a", "namespace": world.namespace, "uid": "u"}
    made = await world.post(world.new_events, {**NEW_EVENT, "regarding": about})
    assert made.status == 201
    old = await world.get(f"{world.events}/new")
    assert old.json["involvedObject"] == about
    assert old.json["message"] == "it is there"
    assert old.json["reportingComponent"] == "tests"
    found = await world.get(
        world.events, fieldSelector="involvedObject.name=a,involvedObject.uid=u"
    )
    assert found.names == ["new"]
    assert (await world.get(world.events, fieldSelector="involvedObject.name=b")).names == []
    series = {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}
    again = await world.merge(f"{world.new_events}/new", {"series": series})
    assert again.json["series"] == series
    fixed = await world.merge(f"{world.new_events}/new", {"note": "changed"})
    assert fixed.causes == {("message", 'Invalid value: "changed": field is immutable')}


async def test_a_lease_checks_its_numbers(world: World):
    spec = {"leaseDurationSeconds": 0, "leaseTransitions": -1}
    answer = await world.post(world.leases, {"metadata": {"name": "a"}, "spec": spec})
    assert answer.status == 422
    fields = {field for field, _ in answer.causes}
    assert fields == {"spec.leaseDurationSeconds", "spec.leaseTransitions"}


async def test_a_table_has_the_columns_of_the_definition(world: World):
    await world.post(world.widgets, world.widget("a", size=4))
    status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await world.merge(f"{world.widgets}/a/status", status)
    answer = await world.transport.request(
        "GET", world.widgets, headers=(("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),)
    )
    table = json.loads(answer.body)
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Ready"]
    assert table["rows"][0]["cells"] == ["a", 4, "True"]
    assert table["rows"][0]["object"]["metadata"]["name"] == "a"


async def test_discovery_names_the_new_kind(world: World):
    answer = await world.get(f"/apis/{world.group}/v1")
    names = {entry["name"]: entry for entry in answer.json["resources"]}
    assert set(names) == {"widgets", "widgets/status"}
    assert names["widgets"]["shortNames"] == ["wi"]
    assert names["widgets"]["singularName"] == "widget"
    group = await world.get(f"/apis/{world.group}")
    assert group.json["preferredVersion"] == {"groupVersion": f"{world.group}/v1", "version": "v1"}


async def test_a_definition_is_established(world: World):
    path = f"{DEFINITIONS}/widgets.{world.group}"
    answer = await world.get(path)
    conditions = {c["type"]: c["status"] for c in answer.json["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert answer.json["status"]["storedVersions"] == ["v1"]
    assert answer.json["spec"]["names"]["listKind"] == "WidgetList"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/apis/nope.example.com/v1/things", 404),
        ("/api/v1/nopes", 404),
        ("/nope", 404),
        ("/readyz", 200),
    ],
)
async def test_paths_beside_the_objects(world: World, path: str, status: int):
    assert (await world.get(path)).status == status
