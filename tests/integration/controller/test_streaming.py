"""Streamed lists on a real API server: really used, complete, and read again after compaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from tests.fix_testenv import TestEnv, client_of
from tests.integration.controller.test_expiry import forget_history

from hybridpg.controller import (
    Client,
    Headers,
    Informer,
    KubeObject,
    ObjectKey,
    Query,
    Resource,
    Response,
    Transport,
    drop_managed_fields,
)

pytestmark = pytest.mark.testenv

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
PATIENCE = 60.0


class Recorder:
    """Notes the requests that pass to another transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        headers: Headers = (),
        body: bytes | None = None,
    ) -> Response:
        self.asked.append((method, dict(query)))
        return await self._transport.request(method, path, query=query, headers=headers, body=body)

    async def stream(
        self, path: str, *, query: Query = (), headers: Headers = ()
    ) -> AsyncIterator[list[bytes]]:
        self.asked.append(("WATCH", dict(query)))
        async for lines in self._transport.stream(path, query=query, headers=headers):
            yield lines

    async def close(self) -> None:
        await self._transport.close()


class Running:
    """Runs an informer for the length of a block, which begins when it is synced."""

    def __init__(self, informer: Informer) -> None:
        self._informer = informer

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._informer.run())
        async with asyncio.timeout(PATIENCE):
            await self._informer.wait_synced()

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def make(client: Client, namespace: str, names: Sequence[str], **fields: object) -> None:
    """Create ConfigMaps, some at a time."""
    limit = asyncio.Semaphore(16)

    async def create(name: str) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **fields}
        async with limit:
            await client.create(CONFIG_MAPS, body, namespace=namespace)

    await asyncio.gather(*map(create, names))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


async def test_the_list_is_streamed_and_the_same_request_is_the_watch(
    real_client: Client, namespace: str
):
    """H19."""
    await make(real_client, namespace, [f"m{number}" for number in range(20)])
    recorder = Recorder(real_client.transport)
    client = Client(recorder)
    informer = Informer(client, CONFIG_MAPS, namespaces=[namespace])
    async with Running(informer):
        names = {obj.name for obj in informer.store.list()} - {"kube-root-ca.crt"}
        assert names == {f"m{number}" for number in range(20)}
        await make(real_client, namespace, ["later"])
        await until(lambda: informer.store.get(ObjectKey(namespace, "later")) is not None)
    ((verb, query),) = recorder.asked
    assert verb == "WATCH"
    assert query["sendInitialEvents"] == "true"
    assert query["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in query
    assert (informer.stats.lists, informer.stats.watches) == (1, 1)


async def test_a_selector_holds_for_the_streamed_list_and_for_what_follows(
    real_client: Client, namespace: str
):
    await make(real_client, namespace, ["a", "b"])
    informer = Informer(
        real_client, CONFIG_MAPS, namespaces=[namespace], field_selector="metadata.name=b"
    )
    async with Running(informer):
        assert [obj.name for obj in informer.store.list()] == ["b"]


async def test_metadata_alone_is_all_that_comes(real_client: Client, namespace: str):
    """H19: no Secret's data is ever in such a cache."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"x": "y"}},
        "stringData": {"password": "hunter2"},
    }
    await real_client.create(SECRETS, body, namespace=namespace)
    informer = Informer(real_client, SECRETS, namespaces=[namespace], metadata_only=True)
    async with Running(informer):
        (found,) = informer.store.list()
        whole = found.decode()
        assert whole["kind"] == "PartialObjectMetadata"
        assert whole["metadata"]["labels"] == {"x": "y"}
        assert not {"data", "stringData"} & {*whole}
        await real_client.delete(SECRETS, ObjectKey(namespace, "s"))
        await until(lambda: not informer.store.list())


async def test_managed_fields_are_cut_out_where_that_is_asked_for(
    real_client: Client, namespace: str
):
    await make(real_client, namespace, ["a"], data={"x": "1"})
    informer = Informer(
        real_client, CONFIG_MAPS, namespaces=[namespace], transform=drop_managed_fields
    )
    async with Running(informer):
        await make(real_client, namespace, ["b"], data={"x": "1"})
        await until(lambda: informer.store.get(ObjectKey(namespace, "b")) is not None)
        for name in "ab":
            found = informer.store.get(ObjectKey(namespace, name))
            stored = await real_client.get(CONFIG_MAPS, ObjectKey(namespace, name))
            assert stored["metadata"].pop("managedFields")
            assert found is not None
            assert found.decode() == stored


class Log:
    """A handler that writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self.entries.append(("initial" if initial else "add", obj.name))

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        self.entries.append(("update", new.name))

    def on_delete(self, obj: KubeObject) -> None:
        self.entries.append(("delete", obj.name))


async def test_an_informer_whose_version_was_compacted_meanwhile_lists_again(
    own_testenv: TestEnv,
):
    """H19."""
    client, other = await client_of(own_testenv), await client_of(own_testenv)
    await make(other, "default", ["stays", "goes"])
    informer = Informer(client, CONFIG_MAPS, namespaces=["default"])
    log = Log()
    informer.add_handler(log)
    async with Running(informer):
        log.entries.clear()
        await own_testenv.run("kill", "kube-apiserver")
        await own_testenv.run("start", "kube-apiserver")
        # it has forgotten everything before its start, and etcd forgets the rest
        await other.delete(CONFIG_MAPS, ObjectKey("default", "goes"))
        await make(other, "default", ["new"])
        await forget_history(own_testenv)
        await until(lambda: ("add", "new") in log.entries and ("delete", "goes") in log.entries)
        assert {obj.name for obj in informer.store.list()} >= {"stays", "new"}
    await client.close()
    await other.close()
    assert [entry for entry in log.entries if entry[1] == "stays"] == []


async def test_ten_thousand_objects_are_synced_and_nobody_has_to_wait_for_it(
    real_client: Client, namespace: str
):
    count = 10_000
    await make(
        real_client, namespace, [f"m{number:05}" for number in range(count)], data={"x": "y" * 1500}
    )
    informer = Informer(real_client, CONFIG_MAPS, namespaces=[namespace])
    longest = 0.0

    async def measure() -> None:
        nonlocal longest
        while True:
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)

    watching = asyncio.create_task(measure())
    async with Running(informer):
        watching.cancel()
        assert len(informer.store.list()) >= count
    assert informer.stats.lists == informer.stats.watches == 1
    assert longest < 0.2  # milliseconds where nothing else runs
