"""The runtime on a real API server: informers, controllers, finalizers, events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.fix_testenv import TestEnv, client_of

from hybridpg.controller import (
    EVENTS,
    Client,
    Controller,
    Informer,
    JsonObject,
    KubeObject,
    Manager,
    MergePatch,
    NotFound,
    ObjectKey,
    ObjectReference,
    Request,
    Resource,
    enqueue_owner,
    enqueue_self,
    ensure_finalizer,
    metadata_of,
    remove_finalizer,
)

pytestmark = pytest.mark.testenv

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
FINALIZER = "test.example.com/finalizer"
PATIENCE = 30.0
"""Seconds for the far end: a loaded machine is slow, and a hang must not stop the suite."""


def config_map(name: str, **data: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


class Log:
    """A handler that writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.uids: list[str] = []

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._note("initial" if initial else "add", obj)

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self._note("update", new)

    def on_delete(self, obj: KubeObject) -> None:
        self._note("delete", obj)

    def _note(self, what: str, obj: KubeObject) -> None:
        self.entries.append((what, obj.name))
        self.uids.append(obj.uid)


@pytest.fixture
def informer(real_client: Client, namespace: str) -> Informer:
    return Informer(real_client, CONFIG_MAPS, namespaces=[namespace])


@pytest.fixture
def manager(real_client: Client) -> Manager:
    return Manager(real_client, name="tests", close_client=False)


class Running:
    """Runs an informer for the length of a block."""

    def __init__(self, informer: Informer) -> None:
        self._informer = informer

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._informer.run())
        async with asyncio.timeout(PATIENCE):
            await self._informer.wait_synced()

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_an_informer_holds_what_there_is_and_follows_every_change(
    real_client: Client, namespace: str, informer: Informer
):
    log = Log()
    informer.add_handler(log)
    await real_client.create(CONFIG_MAPS, config_map("before"), namespace=namespace)

    async with Running(informer):
        assert [obj.name for obj in informer.store.list()] == ["before"]
        await real_client.create(CONFIG_MAPS, config_map("after", x="1"), namespace=namespace)
        await until(lambda: len(log.entries) == 2)
        key = ObjectKey(namespace, "after")
        await real_client.patch(CONFIG_MAPS, key, MergePatch({"data": {"x": "2"}}))
        await until(lambda: len(log.entries) == 3)
        cached = informer.store.get(key)
        assert cached is not None
        assert cached.decode()["data"] == {"x": "2"}
        await real_client.delete(CONFIG_MAPS, key)
        await until(lambda: len(log.entries) == 4)

    assert log.entries == [
        ("initial", "before"),
        ("add", "after"),
        ("update", "after"),
        ("delete", "after"),
    ]
    assert informer.store.get(key) is None


async def test_deleting_and_recreating_is_two_objects(
    real_client: Client, namespace: str, informer: Informer
):
    log = Log()
    informer.add_handler(log)
    first = await real_client.create(CONFIG_MAPS, config_map("a"), namespace=namespace)

    async with Running(informer):
        await real_client.delete(CONFIG_MAPS, ObjectKey(namespace, "a"))
        second = await real_client.create(CONFIG_MAPS, config_map("a"), namespace=namespace)
        await until(lambda: len(log.entries) == 3)

    assert [what for what, _ in log.entries] == ["initial", "delete", "add"]
    old, new = first["metadata"]["uid"], second["metadata"]["uid"]
    assert log.uids == [old, old, new]


async def test_a_collection_of_several_pages_is_held_completely(
    real_client: Client, namespace: str, informer: Informer
):
    names = {f"c-{number}" for number in range(520)}  # a page has 500
    await asyncio.gather(
        *(real_client.create(CONFIG_MAPS, config_map(name), namespace=namespace) for name in names)
    )

    async with Running(informer):
        assert {obj.name for obj in informer.store.list()} == names


async def test_a_controller_makes_what_its_objects_ask_for(
    real_client: Client, namespace: str, manager: Manager
):
    """The copy of each object is made, repaired when it is deleted, and follows changes."""
    informer = manager.informer(CONFIG_MAPS, namespaces=[namespace])

    async def reconcile(request: Request) -> None:
        source = informer.store.get(request.key)
        if source is None or metadata_of(source).owners:
            return
        owner = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": source.name,
            "uid": source.uid,
            "controller": True,
        }
        wanted = config_map(f"{source.name}-copy", **source.decode()["data"])
        wanted["metadata"]["ownerReferences"] = [owner]
        copy = informer.store.get(ObjectKey(namespace, f"{source.name}-copy"))
        if copy is None:
            await real_client.create(CONFIG_MAPS, wanted, namespace=namespace)
        elif copy.decode()["data"] != wanted["data"]:
            await real_client.patch(CONFIG_MAPS, copy.key, MergePatch({"data": wanted["data"]}))

    controller = manager.controller("copy", reconcile, workers=2)
    controller.watch(informer, handler=enqueue_self())
    controller.watch(informer, handler=enqueue_owner(CONFIG_MAPS))
    key = ObjectKey(namespace, "a-copy")

    def copied(value: str) -> bool:
        found = informer.store.get(key)
        return found is not None and found.decode()["data"] == {"x": value}

    async with manager:
        await real_client.create(CONFIG_MAPS, config_map("a", x="1"), namespace=namespace)
        await until(lambda: copied("1"))
        source = ObjectKey(namespace, "a")
        await real_client.patch(CONFIG_MAPS, source, MergePatch({"data": {"x": "2"}}))
        await until(lambda: copied("2"))
        before = informer.store.get(key)
        assert before is not None
        await real_client.delete(CONFIG_MAPS, key, uid=before.uid)
        await until(lambda: copied("2") and informer.store.get(key).uid != before.uid)  # type: ignore[union-attr]  # copied() looked


async def test_a_finalizer_holds_an_object_until_it_was_cleaned_up(
    real_client: Client, namespace: str, manager: Manager
):
    """H18."""
    informer = manager.informer(CONFIG_MAPS, namespaces=[namespace])
    made: set[str] = set()
    allowed = asyncio.Event()

    async def reconcile(request: Request) -> None:
        obj = informer.store.get(request.key)
        if obj is None:
            return
        if obj.deleting:
            await allowed.wait()
            made.discard(obj.name)
            await remove_finalizer(real_client, CONFIG_MAPS, obj, FINALIZER)
        elif not await ensure_finalizer(real_client, CONFIG_MAPS, obj, FINALIZER):
            made.add(obj.name)

    controller: Controller = manager.controller("finalizer", reconcile)
    controller.watch(informer, handler=enqueue_self())
    key = ObjectKey(namespace, "a")

    async with manager:
        await real_client.create(CONFIG_MAPS, config_map("a"), namespace=namespace)
        await until(lambda: "a" in made)
        stored = await real_client.get(CONFIG_MAPS, key)
        assert stored["metadata"]["finalizers"] == [FINALIZER]

        await real_client.delete(CONFIG_MAPS, key)
        held = await real_client.get(CONFIG_MAPS, key)
        assert held["metadata"]["deletionTimestamp"]
        allowed.set()
        await until(lambda: informer.store.get(key) is None)

    assert made == set()
    with pytest.raises(NotFound):
        await real_client.get(CONFIG_MAPS, key)


async def test_an_object_deleted_while_nobody_ran_is_cleaned_up_at_the_next_start(
    real_client: Client, namespace: str, manager: Manager
):
    """H18."""
    obj = config_map("a")
    obj["metadata"]["finalizers"] = ["somebody.else/finalizer", FINALIZER]
    await real_client.create(CONFIG_MAPS, obj, namespace=namespace)
    key = ObjectKey(namespace, "a")
    await real_client.delete(CONFIG_MAPS, key)
    informer = manager.informer(CONFIG_MAPS, namespaces=[namespace])

    async def reconcile(request: Request) -> None:
        found = informer.store.get(request.key)
        if found is not None and found.deleting:
            await remove_finalizer(real_client, CONFIG_MAPS, found, FINALIZER)

    manager.controller("finalizer", reconcile).watch(informer, handler=enqueue_self())

    def finalizers() -> list[str]:
        found = informer.store.get(key)
        return [] if found is None else list(metadata_of(found).finalizers)

    async with manager:
        await until(lambda: finalizers() == ["somebody.else/finalizer"])

    await real_client.patch(CONFIG_MAPS, key, MergePatch({"metadata": {"finalizers": None}}))


async def test_events_are_stored_once_and_repeats_are_counted(
    real_client: Client, namespace: str, manager: Manager
):
    created = await real_client.create(CONFIG_MAPS, config_map("a"), namespace=namespace)
    about = ObjectReference("v1", "ConfigMap", namespace, "a", created["metadata"]["uid"])

    async with manager:
        for _ in range(3):
            manager.events.event(about, "Warning", "Unreachable", "no route to host")
        manager.events.event(about, "Normal", "Available", "it answers")

    page = await real_client.list(
        EVENTS, namespace=namespace, field_selector=f"regarding.uid={about.uid}"
    )
    events = {item.decode()["reason"]: item.decode() for item in page.items}
    assert {*events} == {"Unreachable", "Available"}
    assert events["Unreachable"]["type"] == "Warning"
    assert events["Unreachable"]["note"] == "no route to host"
    assert events["Unreachable"]["series"]["count"] >= 2
    assert events["Available"]["regarding"]["name"] == "a"
    assert events["Available"]["reportingController"] == "tests"


# --- a server that fails -----------------------------------------------------------------------


@pytest.fixture
async def own_client(own_testenv: TestEnv) -> AsyncIterator[Client]:
    client = await client_of(own_testenv)
    yield client
    await client.close()


async def test_an_informer_outlives_the_crash_of_the_api_server(
    own_testenv: TestEnv, own_client: Client
):
    """H19: what happened meanwhile is not missed, a recreated object is told apart."""
    for name in ("stays", "goes", "recreated"):
        await own_client.create(CONFIG_MAPS, config_map(name), namespace="default")
    informer = Informer(own_client, CONFIG_MAPS, namespaces=["default"])
    log = Log()
    informer.add_handler(log)
    other = await client_of(own_testenv)

    async with Running(informer):
        log.entries.clear()
        await own_testenv.run("kill", "kube-apiserver")
        assert informer.store.get(ObjectKey("default", "goes")) is not None
        await own_testenv.run("start", "kube-apiserver")
        for name in ("goes", "recreated"):
            await other.delete(CONFIG_MAPS, ObjectKey("default", name))
        for name in ("recreated", "new"):
            await other.create(CONFIG_MAPS, config_map(name), namespace="default")
        await until(lambda: ("add", "new") in log.entries)

        names = {obj.name for obj in informer.store.list()}
        assert {"stays", "recreated", "new"} <= names
        assert "goes" not in names
    await other.close()

    told = [entry for entry in log.entries if entry[1] != "kube-root-ca.crt"]
    assert ("delete", "goes") in told
    assert told.index(("delete", "recreated")) < told.index(("add", "recreated"))
    assert ("delete", "stays") not in told
