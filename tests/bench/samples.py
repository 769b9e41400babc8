"""How one sample is taken: figures by row, of the client that is named."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from typing import Any

from . import floor, golang
from .corpus import PAGE, PLURAL
from .figures import Clock, Figures, Pauses, resident
from .peers import Peer, open_peer
from .target import Target

Sample = Callable[[str, Target, int], Coroutine[Any, Any, Figures]]
"""(client, where, how many) -> figures by row."""

IDLE_WATCHES = 50


def watch(row: str) -> Sample:
    """From the bytes of a watch to type and identity of each event."""

    async def sample(client: str, target: Target, count: int) -> Figures:
        if client == "client-go":
            made = golang.run(target, "watch", count)
            cpu, wall = made["cpu"], made["wall"]
        else:
            if client == "hybridpg":
                from . import ours

                clock = await ours.watch(target, count)
            elif client == "floor":
                clock = floor.watch(target, count)
            else:
                clock = await _drain(await open_peer(client, target), count)
            cpu, wall = clock.cpu, clock.wall
        return {row: cpu / count * 1e6, f"{row}.wall": wall / count * 1e6}

    return sample


async def framing(client: str, target: Target, count: int) -> Figures:
    """From the bytes of a watch to lines; the floor only counts newlines."""
    if client == "floor":
        clock = floor.raw(target, count)
    else:
        from . import ours

        clock = await ours.framing(target, count)
    return {"watch.framing": clock.cpu / count * 1e6}


async def work(client: str, target: Target, count: int) -> Figures:
    """From the bytes of a watch through cache and queue to a handler that does nothing."""
    noop, decode = "watch.e2e.noop", "watch.e2e.decode"
    if client.startswith("hybridpg"):
        from . import ours

        if client.endswith("+decode"):
            return {decode: (await ours.decoding(target, count)).cpu / count * 1e6}
        return {noop: (await ours.work(target, count)).cpu / count * 1e6}
    if client == "floor":
        least = floor.watch(target, count), floor.watch(target, count, floor.decode)
        return {noop: least[0].cpu / count * 1e6, decode: least[1].cpu / count * 1e6}
    # the others always decode
    if client == "client-go":
        cpu = golang.run(target, "events", count)["cpu"]
    else:
        peer = await open_peer(client, target)
        cpu = (await peer.work(count)).cpu
    return dict.fromkeys((noop, decode), cpu / count * 1e6)


def listing(size: str) -> Sample:
    """From the pages of a list to a complete cache, what that holds, and what it held up."""

    async def sample(client: str, target: Target, count: int) -> Figures:
        before = resident()
        made = await _listing(client, target, count, before)
        name = f"list.{size}"
        figures = {
            name: made["cpu"] / count * 1e6,
            f"{name}.wall": made["wall"] / count * 1e6,
            "memory.object": made["resident"] / count,
        }
        for row, figure in (("pause", "pause"), ("pause.gc", "collector")):
            if figure in made:
                figures[row.replace("pause", f"pause.{size}")] = made[figure]
        return figures

    return sample


async def _listing(client: str, target: Target, count: int, before: float) -> Figures:
    if client == "client-go":
        return golang.run(target, "list", count)
    if client == "floor":
        clock, received = floor.listing(target, -(-count // PAGE))
        # the least to hold are the bytes themselves
        return {"cpu": clock.cpu, "wall": clock.wall, "resident": received / 1024}
    if client == "hybridpg":
        from . import ours

        before = resident()
        async with Pauses() as pauses:
            clock, informer = await ours.sync(target)
        assert len(informer.store.list()) == count
        return _held(clock, pauses, pauses.loop, resident() - before)
    peer = await open_peer(client, target)
    before = resident()
    clock = Clock(1)
    async with Pauses() as pauses:
        clock.start()
        cache = await peer.list()
        clock.stop()
    assert len(cache) == count
    await peer.close()
    longest = pauses.collector if peer.blocking else pauses.loop
    return _held(clock, pauses, longest, resident() - before)


def _held(clock: Clock, pauses: Pauses, longest: float, held: float) -> Figures:
    return {
        "cpu": clock.cpu,
        "wall": clock.wall,
        "resident": held,
        "pause": max(longest, pauses.collector),
        "collector": pauses.collector,
    }


async def streaming(client: str, target: Target, count: int) -> Figures:
    """From a streaming list to a complete cache."""
    if client == "floor":
        clock, seen = floor.streaming_list(target, floor.scan)
        assert seen == count, f"{seen} objects instead of {count}"
        return {"list.stream.50k": clock.cpu / count * 1e6}
    from . import ours

    async with Pauses() as pauses:
        clock, informer = await ours.sync(target)
    assert len(informer.store.list()) == count
    return {
        "list.stream.50k": clock.cpu / count * 1e6,
        "pause.stream.50k": max(pauses.loop, pauses.collector),
    }


async def long(client: str, target: Target, count: int) -> Figures:
    """One event of 20 MB, in milliseconds from the first byte that anybody can see."""
    taken = watch("long")
    return {"event.20mb": (await taken(client, target, count))["long"] / 1e3}


async def idle(client: str, target: Target, count: int) -> Figures:
    """Milliseconds of CPU that fifty silent watches cost in a second, and the memory of all."""
    if client == "client-go":
        made = golang.run(target, "idle", count)
        return {"watch.idle50": made["cpu"] / made["wall"] * 1e3}
    if client == "hybridpg":
        from . import ours

        clock = await ours.idle(target, IDLE_WATCHES, count)
    else:
        clock = await _idle(await open_peer(client, target), count)
    return {
        "watch.idle50": clock.cpu / clock.wall * 1e3,
        "watch.idle50.memory": resident() / 1024,
    }


async def _idle(peer: Peer, seconds: float) -> Clock:
    async def follow(plural: str) -> None:
        source = peer.watch(plural)
        assert isinstance(source, AsyncIterable)
        async for event in source:
            peer.look(event)

    tasks = [asyncio.create_task(follow(f"{PLURAL}{n}")) for n in range(IDLE_WATCHES)]
    await asyncio.sleep(2)
    clock = Clock(1)
    clock.start()
    await asyncio.sleep(seconds)
    clock.stop()
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.wait(tasks)
    return clock


def paced(name: str, quantile: float) -> Sample:
    """How old an event is when its handler has it, in milliseconds, and what it cost."""

    async def sample(client: str, target: Target, count: int) -> Figures:
        latency, cost = f"latency.{name}", f"latency.{name}.cpu"
        if client == "client-go":
            made = golang.run(target, "paced", count)
            age = made["p50" if quantile == 0.5 else "p99"]
            return {latency: age, cost: made["cpu"] / count * 1e6}
        if client == "floor":
            clock, ages = floor.paced(target, count)
        elif client == "hybridpg":
            from . import ours

            clock, ages = await ours.paced(target, count)
        else:
            clock, ages = await _paced(await open_peer(client, target), count)
        return {
            latency: statistics.quantiles(ages, n=100)[int(quantile * 100) - 1],
            cost: clock.cpu / count * 1e6,
        }

    return sample


async def _paced(peer: Peer, events: int) -> tuple[Clock, list[float]]:
    ages: list[float] = []

    def age(event: Any) -> None:
        ages.append((time.time_ns() - int(event["object"]["metadata"]["resourceVersion"])) / 1e6)

    return await peer.work(events, age), ages


async def real(client: str, target: Target, count: int) -> Figures:
    """From nothing to a cache that is complete, against a real API server over TLS."""
    cpu, wall = "sync.real.10k", "sync.real.10k.wall"
    if client == "floor+raw":
        return {wall: floor.raw_list(target).wall * 1e3}
    if client == "floor":
        clock, seen = floor.streaming_list(target, None)
        assert seen == count, f"{seen} objects instead of {count}"
        return {cpu: clock.cpu / count * 1e6}
    made = await _listing(client, target, count, 0.0)
    return {cpu: made["cpu"] / count * 1e6, wall: made["wall"] * 1e3}


async def ready(client: str, target: Target, count: int) -> Figures:
    """From applying a server and a database to the login of an application."""
    from .ready import by_hand, by_operator

    return {"apply.ready": await (by_hand if client == "floor" else by_operator)()}


async def scale(client: str, target: Target, count: int) -> Figures:
    """Thousands of databases on one server: created at once, edited, checked, and held."""
    from .scale import sample

    return await sample(count)


async def churn(client: str, target: Target, count: int) -> Figures:
    """MiB that a process holds after all events; the floor is what it held after a tenth."""
    from . import ours

    def report(seen: int, held: float) -> None:
        print(f"churn {seen:,} events, {held / 1024:.1f} MiB", file=sys.stderr)

    warm, held = await ours.churn(target, count, count // 10, report)
    return {"churn.10m": held / 1024, "churn.10m@floor": warm / 1024}


async def _drain(peer: Peer, events: int) -> Clock:
    clock = Clock(events)
    source = peer.watch(PLURAL)
    if isinstance(source, AsyncIterable):
        async for event in source:
            peer.look(event)
            if clock.tick():
                break
    else:
        for event in source:
            peer.look(event)
            if clock.tick():
                break
    clock.stop()
    if isinstance(source, AsyncGenerator):
        await source.aclose()
    await peer.close()
    return clock
