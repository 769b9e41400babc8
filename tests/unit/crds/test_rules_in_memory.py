"""The rules of the CRDs in the API server in memory, which `hybridpg dev` runs on.

The same table is run on a real API server by the integration tests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.crd_cases import (
    DATABASE,
    DOCUMENTED_SERVERS,
    EXAMPLES,
    GOOD_OBJECT_NAMES,
    GROUP,
    IMMUTABLE,
    MALFORMED_DATABASES,
    MALFORMED_SERVERS,
    RESERVED,
    RESERVED_OBJECT_NAMES,
    SERVER,
    database,
    named,
    server,
)

from hybridpg.controller.testing import FakeCluster
from hybridpg.crds.manifest import KINDS, definition
from hybridpg.crds.yaml import load_all

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISHED_SECONDS = 5


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    for kind in KINDS:
        made = await cluster.request("POST", DEFINITIONS, body=encoded(definition(kind)))
        assert made.status == 201, made.body
    async with asyncio.timeout(ESTABLISHED_SECONDS):
        while (await cluster.request("GET", path_of(DATABASE))).status != 200:
            await asyncio.sleep(0)
    yield cluster
    await cluster.close()


def encoded(obj: Any) -> bytes:
    return json.dumps(obj).encode()


def path_of(obj: dict[str, Any]) -> str:
    return f"/apis/{GROUP}/v1alpha1/namespaces/default/{obj['kind'].lower()}s"


async def create(cluster: FakeCluster, obj: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    strict = (("fieldValidation", "Strict"),)
    answer = await cluster.request("POST", path_of(obj), query=strict, body=encoded(obj))
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_every_example_is_accepted(cluster: FakeCluster, path: Path):
    """H1."""
    for document in load_all(path.read_text()):
        status, answer = await create(cluster, document)

        assert status == 201, answer
        assert answer["spec"] == document["spec"]
        assert answer["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("spec", DOCUMENTED_SERVERS)
async def test_every_documented_value_of_a_server_is_accepted(
    cluster: FakeCluster, spec: dict[str, Any]
):
    """S1-S12."""
    status, answer = await create(cluster, server(**spec))

    assert status == 201, answer


@pytest.mark.parametrize("name", GOOD_OBJECT_NAMES)
async def test_names_that_need_quoting_are_accepted(cluster: FakeCluster, name: str):
    """D2."""
    status, answer = await create(cluster, named(DATABASE, name))

    assert status == 201, answer


@pytest.mark.parametrize("name", ["user", "1abc", "foo.bar", "CamelCase", "_x", "a-b", "x" * 63])
async def test_names_of_databases_that_need_quoting_are_accepted(cluster: FakeCluster, name: str):
    """D2."""
    status, answer = await create(cluster, database(database={"name": name}))

    assert status == 201, answer


@pytest.mark.parametrize(("spec", "message"), MALFORMED_SERVERS)
async def test_a_malformed_server_is_refused_with_a_clear_message(
    cluster: FakeCluster, spec: dict[str, Any], message: str
):
    """D79."""
    status, answer = await create(cluster, server(**spec))

    assert status in (400, 422)
    assert message in answer["message"]


@pytest.mark.parametrize(("spec", "message"), MALFORMED_DATABASES)
async def test_a_malformed_database_is_refused_with_a_clear_message(
    cluster: FakeCluster, spec: dict[str, Any], message: str
):
    """D1, D79, H5, H35."""
    status, answer = await create(cluster, database(**spec))

    assert status in (400, 422)
    assert message in answer["message"]


@pytest.mark.parametrize("name", RESERVED_OBJECT_NAMES)
async def test_an_object_whose_own_name_is_reserved_needs_a_name_of_its_database(
    cluster: FakeCluster, name: str
):
    """D3, H35."""
    refused, answer = await create(cluster, named(DATABASE, name))
    accepted, _ = await create(cluster, named(database(database={"name": "orders"}), name))

    assert refused == 422
    assert f"metadata.name {RESERVED}" in answer["message"]
    assert accepted == 201


@pytest.mark.parametrize(("base", "change", "message"), IMMUTABLE)
async def test_an_immutable_field_cannot_be_changed(
    cluster: FakeCluster, base: dict[str, Any], change: Any, message: str
):
    """D78, S1, S13, S14, invariant 21."""
    status, answer = await create(cluster, base)
    assert status == 201, answer

    done = await cluster.request(
        "PATCH",
        f"{path_of(base)}/{base['metadata']['name']}",
        headers=(("content-type", "application/merge-patch+json"),),
        body=encoded({"spec": change}),
    )

    assert done.status == 422
    assert message in json.loads(done.body)["message"]


async def test_a_server_can_be_bound_to_a_backend_later(cluster: FakeCluster):
    await create(cluster, SERVER)

    done = await cluster.request(
        "PATCH",
        f"{path_of(SERVER)}/teamfoo",
        headers=(("content-type", "application/merge-patch+json"),),
        body=encoded({"spec": {"backend": "local"}}),
    )

    assert done.status == 200, done.body
