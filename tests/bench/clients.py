"""The clients that are measured, each by the fastest way that its documentation offers.

All do the same: a list ends in a dict from key to object, a watch in the same dict and a queue of
keys. Imports stand inside the functions: a sample pays for one client only, before its clock runs.
"""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from .corpus import COLLECTION, GROUP, KIND, PLURAL, VERSION

Cache = dict[tuple[str, str], Any]
Lister = Callable[[int, int], Awaitable[tuple[float, object]]]
"""(port, count) -> (seconds, what must stay in memory; the floor's is bytes)."""
Watch = Callable[[int, int], Awaitable[float]]
"""(port, events) -> seconds from the first event to the last."""

RECEIVE = 1 << 20


class Clock:
    """Runs from the first event to the last of ``expected``."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._begin = 0.0
        self.seconds = 0.0
        self.done = asyncio.Event()

    def tick(self) -> bool:
        """Count one event; returns whether it was the last."""
        if not self._begin:
            self._begin = time.perf_counter()
        self._left -= 1
        if self._left == 0:
            self.seconds = time.perf_counter() - self._begin
            self.done.set()
        return self._left <= 0


class Handler:
    """Our side of a watch: the informer's store is the cache."""

    def __init__(self, add: Callable[[Any], None], clock: Clock) -> None:
        self._add = add
        self._clock = clock

    def on_add(self, obj: Any, *, initial: bool) -> None:
        self._add(obj.key)
        self._clock.tick()

    def on_update(self, old: Any, new: Any) -> None:
        self._add(new.key)
        self._clock.tick()

    def on_delete(self, obj: Any) -> None:
        self._add(obj.key)
        self._clock.tick()


async def _informer(port: int) -> Any:
    from hybridpg.controller import Client, Informer, Resource
    from hybridpg.controller.client import AiohttpTransport, Config

    transport = AiohttpTransport(Config(f"http://127.0.0.1:{port}"))
    return Informer(Client(transport), Resource(GROUP, VERSION, PLURAL, KIND)), transport


async def ours_list(port: int, count: int) -> tuple[float, object]:
    informer, transport = await _informer(port)
    begin = time.perf_counter()
    task = asyncio.create_task(informer.run())
    await informer.wait_synced()
    seconds = time.perf_counter() - begin
    task.cancel()
    await asyncio.wait({task})
    await transport.close()
    assert len(informer.store.list()) == count
    return seconds, informer


async def ours_watch(port: int, events: int) -> float:
    from hybridpg.controller import ObjectKey, WorkQueue

    informer, transport = await _informer(port)
    clock = Clock(events)
    queue: WorkQueue[ObjectKey] = WorkQueue()
    informer.add_handler(Handler(queue.add, clock))
    task = asyncio.create_task(informer.run())
    await clock.done.wait()
    task.cancel()
    await asyncio.wait({task})
    await transport.close()
    return clock.seconds


async def kopf_setup(port: int) -> dict[str, Any]:
    """kopf has no public function that lists or watches without running an operator."""
    from kopf._cogs.clients import auth
    from kopf._cogs.configs.configuration import OperatorSettings
    from kopf._cogs.structs.credentials import ConnectionInfo, Vault, VaultKey
    from kopf._cogs.structs.references import Resource

    vault = Vault()
    await vault.populate({VaultKey("bench"): ConnectionInfo(server=f"http://127.0.0.1:{port}")})
    auth.vault_var.set(vault)
    resource = Resource(group=GROUP, version=VERSION, plural=PLURAL, kind=KIND, namespaced=True)
    return {"settings": OperatorSettings(), "resource": resource, "namespace": None}


async def kopf_list(port: int, count: int) -> tuple[float, object]:
    import logging

    from kopf._cogs.clients.fetching import fetch_objs

    setup = await kopf_setup(port)
    cache: Cache = {}
    begin = time.perf_counter()
    async for chunk, _version in fetch_objs(logger=logging.getLogger("bench"), **setup):
        cache.update(((o["metadata"]["namespace"], o["metadata"]["name"]), o) for o in chunk)
    seconds = time.perf_counter() - begin
    assert len(cache) == count
    return seconds, cache


async def kopf_watch(port: int, events: int) -> float:
    from kopf._cogs.clients.watching import Bookmark, infinite_watch

    setup = await kopf_setup(port)
    return await _drain(
        (
            event["object"]
            async for event in infinite_watch(**setup)
            if not isinstance(event, Bookmark)
        ),
        events,
    )


async def kubernetes_asyncio_list(port: int, count: int) -> tuple[float, object]:
    from kubernetes_asyncio import client

    configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
    cache: Cache = {}
    async with client.ApiClient(configuration) as api_client:
        api = client.CustomObjectsApi(api_client)
        begin, token = time.perf_counter(), ""
        while True:
            page = await api.list_cluster_custom_object(
                GROUP, VERSION, PLURAL, limit=500, _continue=token
            )
            cache.update(
                ((o["metadata"]["namespace"], o["metadata"]["name"]), o) for o in page["items"]
            )
            if not (token := page["metadata"].get("continue", "")):
                break
        seconds = time.perf_counter() - begin
    assert len(cache) == count
    return seconds, cache


async def kubernetes_asyncio_watch(port: int, events: int) -> float:
    from kubernetes_asyncio import client, watch

    configuration = client.Configuration(host=f"http://127.0.0.1:{port}")
    async with client.ApiClient(configuration) as api_client:
        api = client.CustomObjectsApi(api_client)
        arguments = (api.list_cluster_custom_object, GROUP, VERSION, PLURAL)
        async with watch.Watch() as watcher:
            source = watcher.stream(*arguments, resource_version="1")
            return await _drain((event["object"] async for event in source), events)


async def lightkube_list(port: int, count: int) -> tuple[float, object]:
    client, widgets = _lightkube(port)
    cache: Cache = {}
    begin = time.perf_counter()
    async for obj in client.list(widgets, namespace="*", chunk_size=500):
        cache[obj.metadata.namespace, obj.metadata.name] = obj
    seconds = time.perf_counter() - begin
    assert len(cache) == count
    return seconds, cache


async def lightkube_watch(port: int, events: int) -> float:
    client, widgets = _lightkube(port)
    clock = Clock(events)
    cache: Cache = {}
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async for _type, obj in client.watch(widgets, namespace="*", resource_version="1"):
        key = (obj.metadata.namespace, obj.metadata.name)
        cache[key] = obj
        queue.put_nowait(key)
        if clock.tick():
            break
    return clock.seconds


def _lightkube(port: int) -> Any:
    import lightkube
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.generic_resource import create_namespaced_resource

    config = KubeConfig.from_dict(
        {
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "bench", "user": {"token": "bench"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
    )
    client = lightkube.AsyncClient(config=config)
    return client, create_namespaced_resource(GROUP, VERSION, KIND, PLURAL)


async def _drain(source: Any, events: int) -> float:
    clock = Clock(events)
    cache: Cache = {}
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async for obj in source:
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        cache[key] = obj
        queue.put_nowait(key)
        if clock.tick():
            break
    return clock.seconds


def _socket(port: int, query: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"GET {COLLECTION}?{query} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    return connection


async def floor_watch(port: int, events: int) -> float:
    """What reading costs at the least: a blocking socket, and counting newlines."""
    buffer = bytearray(RECEIVE)
    view = memoryview(buffer)
    seen, begin = 0, 0.0
    with _socket(port, "watch=1") as connection:
        # head and chunk framing have newlines as well: 4 lines of head, and 3 of each chunk
        while seen < 4 + 3 * events:
            size = connection.recv_into(view)
            begin = begin or time.perf_counter()
            seen += buffer.count(b"\n", 0, size)
    return time.perf_counter() - begin


async def floor_list(port: int, count: int) -> tuple[float, object]:
    """What reading costs at the least: a blocking socket, and counting newlines."""
    buffer = bytearray(RECEIVE)
    view = memoryview(buffer)
    received = 0
    begin = time.perf_counter()
    for page in range((count + 499) // 500):
        seen = 0
        with _socket(port, f"limit=500&continue=page-{page}") as connection:
            while seen < 5:  # 4 lines of head, 1 of body
                size = connection.recv_into(view)
                seen += buffer.count(b"\n", 0, size)
                received += size
    return time.perf_counter() - begin, received


LISTERS: dict[str, Lister] = {
    "hybridpg": ours_list,
    "kopf": kopf_list,
    "kubernetes-asyncio": kubernetes_asyncio_list,
    "lightkube": lightkube_list,
    "floor": floor_list,
}
WATCHES: dict[str, Watch] = {
    "hybridpg": ours_watch,
    "kopf": kopf_watch,
    "kubernetes-asyncio": kubernetes_asyncio_watch,
    "lightkube": lightkube_watch,
    "floor": floor_watch,
}
