"""What a stranger does with the library: a kind of his own, in a process and a loop of his own."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hybridpg.controller import (
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    SECRETS,
    Client,
    JsonObject,
    KubeObject,
    Manager,
    MergePatch,
    NotFound,
    ObjectKey,
    ObjectReference,
    Request,
    Resource,
    Result,
    enqueue_owner,
    enqueue_self,
    ensure_finalizer,
    find_condition,
    remove_finalizer,
    set_condition,
)
from hybridpg.controller.testing import FakeCluster, eventually, run_virtual, settled

SOURCES = Path(__file__).parents[3] / "hack" / "import"
GREETINGS = Resource("stranger.example.com", "v1", "greetings", "Greeting")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
FINALIZER = "stranger.example.com/goodbye"
NS = "default"
FOREIGN = ("pydantic", "psycopg", "kubernetes_asyncio", "structlog", "typer", "tenacity", "yaml")
"""Not needed to embed the runtime: some cost tens of megabytes, all may clash with a host's own."""


def hello(client: Client) -> Manager:
    manager = Manager(client, name="hello", close_client=False)
    greetings, maps = manager.informer(GREETINGS), manager.informer(CONFIG_MAPS)

    async def reconcile(request: Request) -> None:
        greeting = greetings.store.get(request.key)
        if greeting is None or maps.store.get(request.key) is not None:
            return
        meta = {"name": greeting.name, "ownerReferences": [owner(greeting)]}
        data = {"text": f"Hello, {greeting.decode()['spec']['whom']}!"}
        await client.create(CONFIG_MAPS, {"metadata": meta, "data": data}, namespace=NS)

    controller = manager.controller("hello", reconcile)
    controller.watch(greetings, handler=enqueue_self())
    controller.watch(maps, handler=enqueue_owner(GREETINGS))
    return manager


def owner(obj: KubeObject) -> JsonObject:
    api = {"apiVersion": GREETINGS.api_version, "kind": GREETINGS.kind, "controller": True}
    return {**api, "name": obj.name, "uid": obj.uid}


def definition() -> JsonObject:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": free, "status": free}}
    version = {
        "name": GREETINGS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": GREETINGS.plural, "singular": "greeting", "kind": GREETINGS.kind}
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITIONS.api_version,
        "kind": "CustomResourceDefinition",
        "metadata": {"name": str(GREETINGS)},
        "spec": {
            "group": GREETINGS.group,
            "scope": "Namespaced",
            "names": {**names, "listKind": "GreetingList"},
            "versions": [version],
        },
    }


async def make_cluster(*whom: str) -> tuple[FakeCluster, Client]:
    cluster = FakeCluster(seed=1)
    client = Client(cluster)
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
    for each in whom:
        await greet(client, each)
    return cluster, client


async def greet(client: Client, whom: str) -> None:
    kind = {"apiVersion": GREETINGS.api_version, "kind": GREETINGS.kind}
    body = {**kind, "metadata": {"name": whom.lower()}, "spec": {"whom": whom}}
    await client.create(GREETINGS, body, namespace=NS)


async def texts(client: Client) -> list[str]:
    maps = (await client.list(CONFIG_MAPS, namespace=NS)).items
    return sorted(each.decode()["data"]["text"] for each in maps if "data" in each.decode())


virtual = pytest.mark.virtual_time


class Polite:
    """The controller that he writes next: finalizer, owned Secret, condition and event."""

    def __init__(self, client: Client, manager: Manager) -> None:
        self.client = client
        self.events = manager.events
        self.greetings = manager.informer(GREETINGS)
        self.goodbyes: list[str] = []
        controller = manager.controller("polite", self.reconcile, workers=2)
        controller.watch(self.greetings, handler=enqueue_self())

    async def reconcile(self, request: Request) -> Result | None:
        found = self.greetings.store.get(request.key)
        if found is None:
            return None
        if found.deleting:
            self.goodbyes.append(found.name)
            await remove_finalizer(self.client, GREETINGS, found, FINALIZER)
            return None
        if await ensure_finalizer(self.client, GREETINGS, found, FINALIZER):
            return None
        try:
            await self.client.get(SECRETS, found.key)
        except NotFound:
            meta = {"name": found.name, "ownerReferences": [owner(found)]}
            await self.client.create(SECRETS, {"metadata": meta}, namespace=found.namespace)
            about = ObjectReference(
                GREETINGS.api_version, GREETINGS.kind, found.namespace, found.name, found.uid
            )
            self.events.event(about, "Normal", "Greeted", f"secret {found.name} made")
        await self.say_ready(found)
        return None

    async def say_ready(self, found: KubeObject) -> None:
        before = found.decode().get("status", {}).get("conditions", [])
        after = set_condition(before, "Ready", "True", reason="Greeted")
        if after != before:
            body = {"status": {"conditions": after}}
            await self.client.patch(GREETINGS, found.key, MergePatch(body), subresource="status")


def test_importing_the_runtime_brings_nothing_that_an_embedder_did_not_ask_for():
    code = "import sys, json, hybridpg.controller; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.partition(".")[0] in FOREIGN] == []
    ours = {name.split(".")[1] for name in loaded if name.startswith("hybridpg.")}
    assert ours == {"controller"}
    assert "hybridpg.controller.testing" not in loaded


def test_a_first_controller_is_twenty_lines():
    assert len(inspect.getsource(hello).splitlines()) <= 20


@virtual
async def test_a_first_controller_makes_what_is_owned_and_makes_it_again():
    """H18."""
    cluster, client = await make_cluster("World")
    async with hello(client):
        assert await eventually(lambda: texts(client)) == ["Hello, World!"]
        await client.delete(CONFIG_MAPS, ObjectKey(NS, "world"))
        await greet(client, "Moon")
        await settled(cluster)
        assert await texts(client) == ["Hello, Moon!", "Hello, World!"]


@virtual
async def test_a_finalizer_a_secret_a_condition_and_an_event_for_a_kind_of_ones_own():
    """H18."""
    cluster, client = await make_cluster("World")
    key = ObjectKey(NS, "world")
    manager = Manager(client, close_client=False)
    polite = Polite(client, manager)
    async with manager:
        await asyncio.sleep(60)
        found = await client.get(GREETINGS, key)
        assert found["metadata"]["finalizers"] == [FINALIZER]
        condition = find_condition(found["status"]["conditions"], "Ready")
        assert condition is not None
        assert condition["reason"] == "Greeted"
        (event,) = (await client.list(EVENTS, namespace=NS)).items
        assert event.decode()["note"] == "secret world made"
        quiet = len(cluster.writes)
        await asyncio.sleep(3600)
        assert len(cluster.writes) == quiet

        await client.delete(GREETINGS, key)
        await asyncio.sleep(60)
        assert polite.goodbyes == ["world"]
        for gone in (GREETINGS, SECRETS):
            with pytest.raises(NotFound):
                await client.get(gone, key)


@virtual
async def test_managers_in_one_loop_share_nothing_not_even_their_end():
    """Two controllers on two clusters, and two on one; ending any leaves the others alone."""
    (_, east), (_, west) = await make_cluster("East"), await make_cluster("West")
    also = Manager(west, close_client=False)
    polite = Polite(west, also)
    before = asyncio.all_tasks()
    async with hello(west), also:
        async with hello(east):
            await asyncio.sleep(10)
        assert await texts(east) == ["Hello, East!"]
        assert await texts(west) == ["Hello, West!"]
        await greet(east, "Later")
        await greet(west, "Later")
        await asyncio.sleep(10)
        assert await texts(east) == ["Hello, East!"]
        assert await texts(west) == ["Hello, Later!", "Hello, West!"]
        await west.delete(GREETINGS, ObjectKey(NS, "west"))
        await asyncio.sleep(10)
        assert polite.goodbyes == ["west"]
    assert asyncio.all_tasks() == before


def test_it_lives_in_the_loop_of_a_host_that_knows_nothing_of_it():
    """The host has a loop of its own in a thread, where no signal can be handled."""
    seen: list[list[str]] = []

    async def host() -> None:
        _, client = await make_cluster("Host")
        loop = asyncio.get_running_loop()
        problems: list[object] = []
        loop.set_exception_handler(lambda _, context: problems.append(context))
        stop = asyncio.Event()
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hello(client).run(stop, on_started=started.set))
            await started.wait()
            seen.append(await eventually(lambda: texts(client)))
            stop.set()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert problems == []
        seen.append(["ended"])

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    thread.join(30)
    assert seen == [["Hello, Host!"], ["ended"]]


def test_a_manager_can_be_made_before_there_is_a_loop_and_once_in_each():
    for _ in range(2):
        manager = hello(client := Client(FakeCluster()))

        async def live(manager: Manager = manager, client: Client = client) -> list[str]:
            await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition())
            await greet(client, "Twice")
            async with manager:
                await asyncio.sleep(10)
                return await texts(client)

        assert run_virtual(live()) == ["Hello, Twice!"]
