"""Tables: ages, cells by JSONPath, and the columns of the built-in kinds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.controller.testing.conftest import NOON, SECRETS, Api

from hybridpg.controller.testing._jsonpath import find
from hybridpg.controller.testing._table import human_age

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(seconds=5), "5s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(minutes=3, seconds=7), "3m7s"),
        (timedelta(minutes=4), "4m"),
        (timedelta(minutes=42), "42m"),
        (timedelta(hours=3, minutes=5), "3h5m"),
        (timedelta(hours=20), "20h"),
        (timedelta(days=3, hours=4), "3d4h"),
        (timedelta(days=324), "324d"),
        (timedelta(days=800), "2y70d"),
        (timedelta(days=3650), "10y"),
        (timedelta(seconds=-30), "<invalid>"),
    ],
)
def test_ages_are_shown_as_kubectl_shows_them(age: timedelta, shown: str):
    assert human_age((NOON - age).isoformat(), NOON) == shown


def test_an_age_that_is_not_known():
    assert human_age("", NOON) == "<unknown>"
    assert human_age("rubbish", NOON) == "<invalid>"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        (".a['b']", [1]),
        (".items[0].n", ["x"]),
        (".items[-1].n", ["y"]),
        (".items[9].n", []),
        (".items[*].n", ["x", "y"]),
        ('.items[?(@.n=="y")].v', [2]),
        (".items[?(@.n!='y')].v", [1]),
        (r".a.with\.dot", [3]),
        (".nope.nope", []),
    ],
)
def test_paths_of_printer_columns(path: str, found: list[Any]):
    value = {
        "a": {"b": 1, "with.dot": 3},
        "items": [{"n": "x", "v": 1}, {"n": "y", "v": 2}],
    }
    assert find(path, value) == found


async def test_a_single_object_is_a_table_of_one_row(api: Api):
    await api.secret("a")
    _, table = await api("GET", f"{SECRETS}/a", accept=TABLE)
    assert [row["cells"] for row in table["rows"]] == [["a", "Opaque", 0, "0s"]]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_a_row_brings_the_whole_object_where_it_is_asked_for(api: Api):
    await api.secret("a")
    _, table = await api("GET", SECRETS, accept=TABLE, includeObject="Object")
    row = table["rows"][0]["object"]
    assert (row["apiVersion"], row["kind"], row["type"]) == ("v1", "Secret", "Opaque")
    _, bare = await api("GET", SECRETS, accept=TABLE, includeObject="None")
    assert bare["rows"][0]["object"] is None


async def test_json_first_is_no_table(api: Api):
    await api.secret("a")
    _, listed = await api("GET", SECRETS, accept=f"application/json,{TABLE}")
    assert listed["kind"] == "SecretList"


async def test_a_refusal_is_no_table(api: Api):
    status, answer = await api("GET", f"{SECRETS}/nope", accept=TABLE)
    assert (status, answer["kind"]) == (404, "Status")


async def test_events_name_what_they_are_about(api: Api):
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Widget", "name": "w", "namespace": "default"},
        "reason": "Created",
        "message": "it is there",
        "type": "Normal",
        "count": 3,
        "firstTimestamp": "2026-01-01T11:00:00Z",
        "lastTimestamp": "2026-01-01T11:59:00Z",
        "source": {"component": "tests"},
    }
    await api("POST", "/api/v1/namespaces/default/events", body)
    row = ["60s", "Normal", "Created", "widget/w", "", "tests", "it is there", "60m", 3, "e"]
    for path in ("/api/v1/events", "/apis/events.k8s.io/v1/events"):
        _, table = await api("GET", path, accept=TABLE)
        assert [entry["cells"] for entry in table["rows"]] == [row]


@pytest.mark.parametrize(
    ("type_", "value", "cell"),
    [
        ("string", "x", "x"),
        ("string", {"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
        ("integer", 7, 7),
        ("integer", "7", None),
        ("number", 7, 7.0),
        ("number", True, None),
        ("boolean", True, True),
        ("boolean", 1, None),
        ("date", "2026-01-01T00:00:00Z", "12h"),
        ("date", 5, None),
    ],
)
async def test_a_cell_has_the_type_of_its_column(api: Api, type_: str, value: Any, cell: Any):
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    column = {"name": "X", "type": type_, "jsonPath": ".spec.x"}
    things = await api.define(free, additionalPrinterColumns=[column])
    await api.thing({"x": value})
    _, table = await api("GET", things, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table["rows"][0]["cells"] == ["a", cell]


@pytest.mark.parametrize(
    ("path", "body", "cells"),
    [
        ("/api/v1/namespaces/default/serviceaccounts", {"secrets": [{"name": "s"}]}, [1]),
        (
            "/api/v1/namespaces/default/configmaps",
            {"data": {"a": ""}, "binaryData": {"b": ""}},
            [2],
        ),
        (
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            {"spec": {"holderIdentity": "me"}},
            ["me"],
        ),
    ],
)
async def test_the_rows_of_built_in_kinds(api: Api, path: str, body: Any, cells: list[Any]):
    assert (await api("POST", path, {"metadata": {"name": "a"}, **body}))[0] == 201
    _, table = await api("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table["rows"][0]["cells"] == ["a", *cells, "0s"]
