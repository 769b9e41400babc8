"""Our side of each measurement, by the public API alone.

Imported by our own samples only: what the runtime imports is no cost of its peers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import cast

from hybridpg.controller import (
    AiohttpTransport,
    Client,
    Config,
    Event,
    Informer,
    Manager,
    ObjectKey,
    Request,
    Resource,
    decode_event,
    enqueue_self,
)
from hybridpg.controller.client import StaticAuth, TlsConfig

from .corpus import FIRST_VERSION, GROUP, KEYS, KIND, PLURAL, VERSION
from .figures import Clock, resident
from .target import TOKEN, Target

WORKERS = 10
WATCH_SECONDS = 3600


def kind(plural: str = PLURAL) -> Resource:
    """The kind that everybody watches."""
    return Resource(GROUP, VERSION, plural, KIND)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Client]:
    """A client as a program would make it, with the same checks of certificates as everybody."""
    tls = TlsConfig(target.ca, target.certificate, target.key)
    auth = StaticAuth() if target.certificate else StaticAuth(f"Bearer {TOKEN}")
    client = Client(AiohttpTransport(Config(target.url, auth, tls)))
    try:
        yield client
    finally:
        await client.close()


async def watch(target: Target, events: int) -> Clock:
    """From the bytes of a watch to decoded events."""
    clock = Clock(events)
    async with connected(target) as client:
        lines = client.watch(kind(), resource_version="1", timeout_seconds=WATCH_SECONDS)
        async with aclosing(cast("AsyncGenerator[list[bytes]]", lines)):
            async for batch in lines:
                clock.start()
                for line in batch:
                    event = decode_event(line)
                    obj = event.object
                    _ = event.type, obj.namespace, obj.name, obj.resource_version
                if clock.tick(len(batch)):
                    break
            clock.stop()
    return clock


async def framing(target: Target, events: int) -> Clock:
    """From the bytes of a watch to its lines."""
    clock = Clock(events)
    async with connected(target) as client:
        lines = client.watch(kind(), resource_version="1", timeout_seconds=WATCH_SECONDS)
        async with aclosing(cast("AsyncGenerator[list[bytes]]", lines)):
            async for batch in lines:
                if clock.tick(len(batch)):
                    break
            clock.stop()
    return clock


async def work(target: Target, events: int, keys: int = KEYS) -> Clock:
    """From the bytes of a watch to a reconcile for each event that is not coalesced."""
    clock = Clock(events)
    last, final = f"widget-{(events - 1) % keys:06d}", str(FIRST_VERSION + events - 1)
    end = ObjectKey("", "the-end")
    async with managed(target) as (manager, informer):

        async def reconcile(request: Request) -> None:
            clock.start()
            name = request.key.name
            if name == end.name:
                clock.stop()
            elif name == last and _version(informer, request.key) == final:
                # behind everything that waits, so that its turn is the end of all
                controller.enqueue(end)

        controller = manager.controller("bench", reconcile, workers=WORKERS)
        controller.watch(informer, handler=enqueue_self())
        async with running(manager):
            await clock.done.wait()
    return clock


def _version(informer: Informer, key: ObjectKey) -> str:
    obj = informer.store.get(key)
    return "" if obj is None else obj.resource_version


async def decoding(target: Target, events: int) -> Clock:
    """The same, and every object decoded, whether or not its key is coalesced with others."""
    clock = Clock(events)

    async with managed(target) as (manager, informer):
        last = ObjectKey("", "the-end")

        async def reconcile(request: Request) -> None:
            if request.key == last:
                clock.stop()

        controller = manager.controller("bench", reconcile, workers=WORKERS)

        def handler(event: Event) -> Iterable[ObjectKey]:
            obj = event.object
            obj.decode()
            if clock.tick():
                # behind everything that waits, so that its turn is the end of all
                asyncio.get_running_loop().call_soon(controller.enqueue, last)
            return (obj.key,)

        controller.watch(informer, handler=handler)
        async with running(manager):
            await clock.done.wait()
    return clock


async def paced(target: Target, events: int) -> tuple[Clock, list[float]]:
    """Take events as they come and decode them whole; also how old each was, in milliseconds."""
    ages: list[float] = []
    clock = Clock(events)
    async with managed(target) as (manager, informer):

        async def reconcile(request: Request) -> None:
            obj = informer.store.get(request.key)
            assert obj is not None
            obj.decode()
            ages.append((time.time_ns() - int(obj.resource_version)) / 1e6)
            if clock.tick():
                clock.stop()

        controller = manager.controller("bench", reconcile, workers=WORKERS)
        controller.watch(informer, handler=enqueue_self())
        async with running(manager):
            await clock.done.wait()
    return clock, ages


async def churn(
    target: Target, events: int, warm: int, report: Callable[[int, float], None]
) -> tuple[float, float]:
    """Let objects come, change and go; KB that the process holds after ``warm`` and after all."""
    held: list[float] = []
    done = asyncio.Event()
    seen = 0
    async with managed(target) as (manager, informer):

        async def reconcile(request: Request) -> None:
            informer.store.get(request.key)

        def handler(event: Event) -> Iterable[ObjectKey]:
            nonlocal seen
            seen += 1
            if seen % warm == 0:
                held.append(resident())
                report(seen, held[-1])
                if seen >= events:
                    done.set()
            return (event.object.key,)

        controller = manager.controller("bench", reconcile, workers=WORKERS)
        controller.watch(informer, handler=handler)
        async with running(manager):
            await done.wait()
    return held[0], held[-1]


async def sync(target: Target) -> tuple[Clock, Informer]:
    """Fill the cache of an informer."""
    clock = Clock(1)
    async with connected(target) as client:
        informer = Informer(client, kind())
        clock.start()
        task = asyncio.create_task(informer.run())
        await informer.wait_synced()
        clock.stop()
        task.cancel()
        await asyncio.wait({task})
    return clock, informer


async def idle(target: Target, count: int, seconds: float, *, settle: float = 1.0) -> Clock:
    """Hold ``count`` watches on which nothing happens."""
    clock = Clock(1)
    async with connected(target) as client:
        informers = [Informer(client, kind(f"{PLURAL}{number}")) for number in range(count)]
        tasks = {asyncio.create_task(each.run()) for each in informers}
        for each in informers:
            await each.wait_synced()
        await asyncio.sleep(settle)  # what a start leaves to do is not idleness
        clock.start()
        await asyncio.sleep(seconds)
        clock.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return clock


@asynccontextmanager
async def managed(target: Target) -> AsyncIterator[tuple[Manager, Informer]]:
    """A manager with one informer, not started."""
    async with connected(target) as client:
        manager = Manager(client, name="bench", close_client=False)
        yield manager, manager.informer(kind())


@asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[None]:
    """Run a manager until the end of the block."""
    stop = asyncio.Event()
    task = asyncio.create_task(manager.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task
