"""Apply, guarded patches, dry runs and metadata alone: the same on a real API server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fix_testenv import TestEnv

from hybridpg.controller import (
    EVENTS,
    SECRETS,
    AiohttpTransport,
    ApplyConflict,
    Client,
    Conflict,
    EventRecorder,
    GuardedPatch,
    Invalid,
    JsonObject,
    NotFound,
    ObjectKey,
    ObjectReference,
    apply,
    decode_event,
    retry_on_conflict,
)
from hybridpg.controller.client import load_kubeconfig
from hybridpg.controller.testing import FakeCluster


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.testenv)])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == "memory":
        yield Client(FakeCluster(), field_manager="tests")
        return
    env: TestEnv = request.getfixturevalue("testenv")
    client = Client(AiohttpTransport(await load_kubeconfig(env.kubeconfig)), field_manager="tests")
    yield client
    await client.close()


@pytest.fixture
async def secret(client: Client) -> AsyncIterator[JsonObject]:
    """A Secret of a name of its own, as stored."""
    name = f"helpers-{uuid.uuid4().hex[:10]}"
    yield await client.create(SECRETS, body(name, colour="red"), namespace="default")
    await client.delete(SECRETS, ObjectKey("default", name))


def body(name: str, **data: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "stringData": data,
    }


def key_of(obj: JsonObject) -> ObjectKey:
    return ObjectKey("default", obj["metadata"]["name"])


def applied(obj: JsonObject, **labels: str) -> JsonObject:
    return {"metadata": {"namespace": "default", "name": key_of(obj).name, "labels": labels}}


async def test_an_apply_is_refused_with_the_names_of_the_owners_and_forced_if_told(client, secret):
    await apply(client, SECRETS, applied(secret, tier="gold"), field_manager="first")
    with pytest.raises(ApplyConflict) as caught:
        await apply(client, SECRETS, applied(secret, tier="lead"), field_manager="second")

    assert caught.value.owners == {".metadata.labels.tier": ("first",)}
    forced = await apply(
        client, SECRETS, applied(secret, tier="lead"), field_manager="second", force=True
    )
    assert forced["metadata"]["labels"] == {"tier": "lead"}


async def test_a_guarded_patch_lands_on_what_was_observed_and_on_nothing_else(client, secret):
    patched = await GuardedPatch(secret).label("example.org/a.b", "x").send(client, SECRETS)
    assert patched is not None
    assert patched["metadata"]["labels"] == {"example.org/a.b": "x"}

    with pytest.raises(Conflict):
        await GuardedPatch(secret).label("late", "x").send(client, SECRETS)
    with pytest.raises(Invalid):
        await GuardedPatch(patched).label("no label", "x").send(client, SECRETS)
    there = await GuardedPatch(patched).add_finalizer("example.org/f").send(client, SECRETS)
    assert there is not None
    assert await GuardedPatch(there).remove_finalizer("example.org/f").send(client, SECRETS)


async def test_another_object_of_the_same_name_is_not_patched(client, secret):
    await client.delete(SECRETS, key_of(secret))
    again = await client.create(SECRETS, body(key_of(secret).name), namespace="default")

    with pytest.raises(Conflict):
        await GuardedPatch(secret).label("late", "x").send(client, SECRETS)
    assert await client.get(SECRETS, key_of(secret)) == again


async def test_a_write_that_lost_a_race_is_repeated_on_what_is_there_now(
    client: Client, secret: JsonObject
):
    rival = [{**secret, "stringData": {"colour": "blue"}}]

    async def write(found: JsonObject) -> JsonObject:
        if rival:
            await client.update(SECRETS, key_of(secret), rival.pop())
        return await client.update(SECRETS, key_of(secret), {**found, "stringData": {"size": "1"}})

    async def read() -> JsonObject:
        return await client.get(SECRETS, key_of(secret))

    stored = await retry_on_conflict(read, write)
    assert set(stored["data"]) == {"colour", "size"}
    assert stored["data"]["colour"] == "Ymx1ZQ=="


async def test_a_dry_run_answers_and_stores_nothing(client, secret):
    key = key_of(secret)
    made = await client.create(SECRETS, body("never"), namespace="default", dry_run=True)
    patched = await GuardedPatch(secret).label("x", "y").send(client, SECRETS, dry_run=True)
    await client.delete(SECRETS, key, dry_run=True)

    assert made["metadata"]["uid"]
    assert patched is not None
    assert patched["metadata"]["labels"] == {"x": "y"}
    assert await client.get(SECRETS, key) == secret
    with pytest.raises(NotFound):
        await client.get(SECRETS, ObjectKey("default", "never"))


async def test_metadata_alone_comes_without_the_data(client, secret):
    """A list and a watch of Secrets that hold no password."""
    select = {"namespace": "default", "field_selector": f"metadata.name={key_of(secret).name}"}
    got = await client.get(SECRETS, key_of(secret), metadata_only=True)
    page = await client.list(SECRETS, metadata_only=True, **select)
    watched: list[Any] = []
    async for lines in client.watch(SECRETS, metadata_only=True, timeout_seconds=1, **select):
        watched += [decode_event(line).object for line in lines if b"BOOKMARK" not in line]

    assert [got, page.items[0].decode(), watched[0].decode()] == [got] * 3
    assert got["kind"] == "PartialObjectMetadata"
    assert got["metadata"]["uid"] == secret["metadata"]["uid"]
    assert "data" not in got


async def test_combined_events_are_one_event_on_the_server(client):
    name = f"helpers-{uuid.uuid4().hex[:10]}"
    about = ObjectReference("v1", "Secret", "default", name, "u")
    recorder = EventRecorder(client, controller="tests")
    for number in range(30):
        recorder.event(about, "Warning", "Failed", f"attempt {number}")
    writing = asyncio.create_task(recorder.run())
    await recorder.flush()
    writing.cancel()
    await asyncio.wait([writing])

    page = await client.list(EVENTS, namespace="default", field_selector=f"regarding.name={name}")
    found = {obj["note"]: obj for obj in (item.decode() for item in page.items)}
    assert len(found) == 10
    combined = found["(combined from similar events): attempt 9"]
    assert combined["series"]["count"] == 21
