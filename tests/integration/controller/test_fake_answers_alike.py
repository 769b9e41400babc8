"""Hundreds of odd requests to FakeCluster and to a real kube-apiserver: the same answers.

Compared are the status, the message, the causes of a refusal and what is stored; not compared is
the order of causes, which is accidental on a real server.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from tests.integration.controller.worlds import (
    APPLY,
    DEFINITIONS,
    JSON_PATCH,
    MERGE,
    Answer,
    Json,
    World,
)

from hybridpg.controller.client import AiohttpTransport, load_kubeconfig
from hybridpg.controller.testing import FakeCluster, eventually

pytestmark = pytest.mark.testenv
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Case:
    """One request, and a path to it within the namespace."""

    method: str
    path: str
    body: Any = None
    kind: str = "application/json"
    query: dict[str, str] = field(default_factory=dict)


class Pair:
    """Two servers with the same namespace and the same definition."""

    def __init__(self, fake: World, real: World) -> None:
        self.worlds = (fake, real)

    async def differences(self, cases: list[Case]) -> list[tuple[Case, Any, Any]]:
        found = []
        for case in cases:
            fake, real = [summary(await send(world, case)) for world in self.worlds]
            if fake != real:
                found.append((case, fake, real))
        return found


async def send(world: World, case: Case) -> Answer:
    path = f"{getattr(world, case.path.split('/')[0])}{case.path[len(case.path.split('/')[0]) :]}"
    return await world.call(case.method, path, case.body, kind=case.kind, **case.query)


def summary(answer: Answer) -> Json:
    body = answer.json
    if body.get("kind") == "Status" and answer.status >= 400:
        causes = (body.get("details") or {}).get("causes") or ()
        told = {(c.get("reason"), c.get("field"), c.get("message")) for c in causes}
        # the message repeats the causes in their order
        message = "" if told else UID.sub("UID", body.get("message", ""))
        return {"status": answer.status, "reason": body.get("reason"), "told": told, "m": message}
    items = [item["metadata"]["name"] for item in body.get("items") or ()]
    kept = {key: body.get(key) for key in ("spec", "data", "status", "type", "kind")}
    meta = body.get("metadata") or {}
    named = {key: meta.get(key) for key in ("name", "labels", "annotations", "finalizers")}
    return {"status": answer.status, "items": items, **kept, **named}


@pytest.fixture
async def pair(testenv: Any) -> AsyncIterator[Pair]:
    transport = AiohttpTransport(await load_kubeconfig(testenv.kubeconfig))
    cluster = FakeCluster()
    real = World(transport, collects_garbage=testenv.collects_garbage, in_memory=False)
    fake = World(cluster, collects_garbage=True, in_memory=True)
    for name in ("namespace", "secrets", "events", "new_events", "leases", "widgets"):
        setattr(fake, name, getattr(real, name))
    for world in (fake, real):
        namespace = {"metadata": {"name": world.namespace}}
        assert (await world.post("/api/v1/namespaces", namespace)).status == 201
        assert (await world.post(DEFINITIONS, world.definition())).status in (201, 409)
        await eventually(partial(served, world), seconds=20)
    yield Pair(fake, real)
    await real.delete(f"/api/v1/namespaces/{real.namespace}")
    await transport.close()
    await cluster.close()


async def served(world: World) -> bool:
    return (await world.get(world.widgets)).status == 200


SPECS: list[Json] = [
    {"any": 5},
    {"any": "5"},
    {"any": 1.5},
    {"any": True},
    {"any": None},
    {"maybe": None, "mode": None},
    {"tags": ["a", "a", "b", "b"]},
    {"tags": ["a", 1]},
    {"tags": None},
    {"rules": [{"name": "x"}, {"name": "x"}]},
    {"rules": [{"ip": "::1"}]},
    {"rules": [{"name": str(n)} for n in range(4)]},
    {"rules": {}},
    {"rules": [None]},
    {"params": {"a": None, "b": "1"}},
    {"params": {"a": 1}},
    {"free": {"x": {"y": [1, {"z": None}]}}},
    {"free": 1},
    {"nested": {"ratio": 1}},
    {"nested": {"ratio": "1"}},
    {"nested": {"depth": None, "bogus": 1}},
    {"size": 11},
    {"size": 0, "mode": "q"},
    {"size": True},
    {"when": "2026-01-01T00:00:00Z"},
    {"when": "2026-13-01T00:00:00Z"},
    {"name": "A"},
    {"name": ""},
    {"name": "abcdefghijkl"},
]


async def test_specs(pair: Pair):
    made = [
        Case("POST", "widgets", pair.worlds[0].widget(f"w{n}", **spec))
        for n, spec in enumerate(SPECS)
    ]
    assert await pair.differences(made) == []


SELECTORS = (
    *("x", "!x", "x=1", "x!=1", "x in (1,2)", "x notin (1)", "x>0", "x<2", "x in ()", "x in (,)"),
    *("x>a", "x in (1", "x in 1", "x,", ",x", "x y", "(x)", "x=", "x=,y", "x=(1)", "-x", "x/y/z=1"),
    *("x=a b", "x=-", "x in (a b)", "!", "!x=1", "x gt 1", "x=1,x=2", "x===1", "x in (1,)", "="),
    *("in in (in)", "notin", "x = 1 , ! y", f"x={'a' * 64}", "x>1,x<3", "x in (-)", "x=!", "x,,y"),
)
FIELDS = (
    *("type=Opaque", "type!=Opaque", "metadata.name=a", "type", "data=x", ",", "=x"),
    r"type=a\,b",
)


async def test_selectors(pair: Pair):
    made = [
        Case("POST", "secrets", {"metadata": {"name": name, "labels": labels}})
        for name, labels in (("a", {"x": "1"}), ("b", {"x": "2", "y": ""}), ("c", {}))
    ]
    asked = [Case("GET", "secrets", query={"labelSelector": text}) for text in SELECTORS]
    asked += [Case("GET", "secrets", query={"fieldSelector": text}) for text in FIELDS]
    assert await pair.differences(made + asked) == []


def operation(op: str, path: str, **more: Any) -> Json:
    return {"op": op, "path": path, **more}


OPERATIONS: list[Any] = [
    [operation("add", "/spec/tags/0", value="q")],
    [operation("add", "/spec/tags/9", value="q")],
    [operation("remove", "/spec/nope")],
    [operation("replace", "/spec/nope", value="q")],
    [operation("replace", "/spec/tags/-", value="q")],
    [operation("move", "/spec/params/a", **{"from": "/spec/params/k"})],
    [operation("copy", "/spec/params/b", **{"from": "/spec/params/a"})],
    [operation("copy", "/spec/params/c", **{"from": "/nope"})],
    [operation("move", "/spec/params/c", **{"from": "/nope"})],
    [operation("move", "/spec/x", **{"from": "/spec"})],
    [operation("test", "/spec/nope", value=None)],
    [operation("test", "/spec/nope", value=1)],
    [operation("test", "/spec/size", value=True)],
    [operation("test", "/spec/tags/9", value=None)],
    [operation("bogus", "/spec")],
    [operation("add", "spec", value=1)],
    [operation("add", "/spec/maybe")],
    [{"path": "/spec/maybe", "value": "a"}],
    [{"op": "add", "value": 1}],
    {"op": "add"},
    [1],
    [],
    "x",
    [operation("add", "/metadata/annotations", value={"example.com/b": "x"})],
    [operation("replace", "/metadata/annotations/example.com~1b", value="y")],
    [operation("remove", "/metadata/annotations/example.com~1b")],
    [operation("add", "", value={})],
    [operation("remove", "")],
    [operation("remove", "/spec/tags/-")],
    [operation("remove", "/spec/tags/7")],
    [operation("replace", "/metadata/name", value="z")],
    [operation("remove", "/metadata/name")],
    [operation("replace", "/spec", value="z")],
]
MERGES: list[Any] = [
    {"spec": {"maybe": None}},
    {"spec": {"tags": None, "params": {"k": None, "z": "1"}}},
    {"spec": []},
    [1],
    "x",
    {"metadata": None},
    {"metadata": {"resourceVersion": "1"}},
    {"metadata": {"resourceVersion": "abc"}},
    {"metadata": {"uid": "u"}},
    {"metadata": {"name": "other"}},
    {"metadata": {"namespace": "other"}},
    {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    {"apiVersion": "x/v1"},
    {"kind": "Other"},
    {"metadata": {"labels": {"a b": "1"}}},
    {"metadata": {"labels": {"a": "b c"}}},
    {"metadata": {"finalizers": ["x", "example.com/c"]}},
    {"metadata": {"finalizers": ["a/b/c"]}},
    {"metadata": {"finalizers": []}},
    {"metadata": {"ownerReferences": [{"uid": "u"}]}},
    {"metadata": {"annotations": {"a b": "x"}}},
    {"status": {"observedGeneration": 9}},
]


async def test_patches(pair: Pair):
    body = pair.worlds[0].widget("a", tags=["p"], params={"k": "v"})
    cases = [Case("POST", "widgets", body)]
    cases += [Case("PATCH", "widgets/a", patch, JSON_PATCH) for patch in OPERATIONS]
    cases += [Case("PATCH", "widgets/a", patch, MERGE) for patch in MERGES]
    cases.append(Case("GET", "widgets/a"))
    assert await pair.differences(cases) == []


def named(name: str, **more: Any) -> Json:
    return {"metadata": {"name": name}, **more}


async def test_bodies_of_built_in_kinds(pair: Pair):
    secrets: list[Json] = [
        named("a", data={"a": "!"}),
        named("b", immutable="x"),
        named("c", data={"a b": "YQ=="}),
        named("d", data={"..": "YQ=="}),
        named("e", data={"a" * 254: "YQ=="}),
        named("f", data={"a": None}),
        named("g", stringData={"a": None, "b": "ä"}, immutable=True),
        named("A"),
        named(""),
    ]
    leases: list[Json] = [
        named("a", spec={"leaseDurationSeconds": 0}),
        named("b", spec={"leaseTransitions": -1}),
        named("c", spec={"renewTime": "x"}),
        named("d", spec={"renewTime": "2026-01-01T00:00:00.000000Z"}),
    ]
    cases = [Case("POST", "secrets", body) for body in secrets]
    cases += [Case("POST", "leases", body) for body in leases]
    cases += [
        Case("PATCH", "secrets/g", named("g", data={"a": "YQ=="}), MERGE),
        Case("PATCH", "secrets/g", {"immutable": False}, MERGE),
        Case("PUT", "leases/z", named("y")),
        Case("POST", "secrets", named("x"), query={"dryRun": "x"}),
        Case("POST", "secrets", named("x"), query={"fieldValidation": "x"}),
        Case("POST", "secrets", named("x"), query={"dryRun": "All"}),
        Case("GET", "secrets/x"),
        Case("POST", "secrets", named("x"), kind="text/plain"),
        Case("GET", "secrets", query={"limit": "x"}),
        Case("GET", "secrets", query={"resourceVersion": "x"}),
    ]
    assert await pair.differences(cases) == []


async def test_applies(pair: Pair):
    body = pair.worlds[0].widget("a", tags=["x"])
    more = pair.worlds[0].widget("a", tags=["y"], size=4)
    query = {"fieldManager": "tests"}
    cases = [
        Case("PATCH", "widgets/a", json.dumps(body).encode(), APPLY, query),
        Case("PATCH", "widgets/a", json.dumps(more).encode(), APPLY, {**query, "force": "true"}),
        Case("PATCH", "widgets/b", json.dumps(body).encode(), APPLY, query),
        Case("PATCH", "widgets/a", json.dumps({**body, "kind": "Zz"}).encode(), APPLY, query),
        Case("PATCH", "widgets/a", json.dumps(body).encode(), APPLY),
    ]
    assert (await pair.differences(cases[:1])) == []
    assert (await pair.differences(cases[2:])) == []
