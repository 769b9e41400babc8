"""A bench for faults: an informer that sees a real API server through the perturbing proxy.

After every fault the cache is what the server says, the handlers were told a history that could
have been (a missed delete is a delete, a recreated object is another one), the informer knows that
it is fresh again, and the server was not flooded meanwhile.
"""

from __future__ import annotations

import asyncio

from tests.peers.faults import AFTER, DURING, GONE, refusal
from tests.proxy.server import Proxy
from tests.unit.controller.mirror import Mirror, identity

from hybridpg.controller import (
    Client,
    Informer,
    JsonObject,
    KubeObject,
    MergePatch,
    ObjectKey,
    Resource,
)
from hybridpg.controller.client import Timeouts

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
TIMEOUTS = Timeouts(connect=5, request=2, silence=2)
"""Short, so that a half-open connection is given up within the patience of a test."""
PATIENCE = 40.0
"""Seconds: four steps of the back-off at their longest, on a loaded machine."""
FRESH = 5.0
"""Seconds since the last sign of life of an informer that has just been told something."""
REQUESTS = 25
"""In any of these tests, all of which take seconds: a loop without a pause makes thousands."""

KEPT, TWIN = "kept", "twin"
DELETE = "delete"
"""As the mirror calls it."""
NOT_STREAMED = refusal(422, "Invalid")


class Bench:
    """An informer that sees the API server through the proxy, and one who does not need it."""

    def __init__(self, proxy: Proxy, truth: Client, client: Client, namespace: str) -> None:
        self.proxy = proxy
        self.truth = truth
        self.namespace = namespace
        self.informer = Informer(client, CONFIG_MAPS, namespaces=[namespace])
        self.mirror = Mirror()
        self.informer.add_handler(self.mirror)

    async def create(self, name: str) -> JsonObject:
        """Make an object, past the proxy."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        return await self.truth.create(CONFIG_MAPS, body, namespace=self.namespace)

    async def delete(self, name: str) -> None:
        """Delete an object, past the proxy."""
        await self.truth.delete(CONFIG_MAPS, self.key(name))

    async def change(self, name: str, value: str) -> None:
        """Change an object, past the proxy."""
        patch = MergePatch({"data": {"value": value}})
        await self.truth.patch(CONFIG_MAPS, self.key(name), patch)

    def key(self, name: str) -> ObjectKey:
        """The key of an object of this name."""
        return ObjectKey(self.namespace, name)

    async def objects(self) -> list[KubeObject]:
        """What the server says there is."""
        return (await self.truth.list(CONFIG_MAPS, namespace=self.namespace)).items

    async def begin(self, *names: str) -> None:
        """Start the informer on objects of these names."""
        for name in names:
            await self.create(name)
        self._running = asyncio.create_task(self.informer.run())

    async def synced(self) -> None:
        """Wait until the informer knows all that there is."""
        async with asyncio.timeout(PATIENCE):
            await self.informer.wait_synced()

    async def end(self) -> None:
        """Stop the informer, which must not have ended by itself."""
        self._running.cancel()
        await asyncio.wait([self._running])
        assert self._running.cancelled(), self._running

    async def equals_the_server(self) -> None:
        """Wait until cache and handlers are what the server says, and have always been possible."""
        expected = sorted(map(identity, await self.objects()))
        end = asyncio.get_running_loop().time() + PATIENCE
        while self.cached() != expected or self.told() != expected:
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.02)
        assert self.cached() == expected
        assert self.told() == expected
        assert self.mirror.wrong == []

    def cached(self) -> list[tuple[ObjectKey, str, str]]:
        """What the informer says there is."""
        return sorted(map(identity, self.informer.store.list()))

    def told(self) -> list[tuple[ObjectKey, str, str]]:
        """What the handlers were told there is."""
        return sorted(map(identity, self.mirror.objects.values()))

    def is_fresh_and_quiet(self) -> None:
        """The informer was told something of late, and did not flood the server."""
        age = self.informer.freshness(asyncio.get_running_loop().time())
        assert age is not None
        assert age < FRESH
        calls = [str(each.call) for each in self.proxy.record]
        assert len(calls) <= REQUESTS, calls[:REQUESTS]

    async def recovers(self) -> None:
        """Make one more object and wait until it is known, with all that was missed."""
        await self.create(AFTER)
        await self.equals_the_server()
        self.is_fresh_and_quiet()


async def move_on(bench: Bench) -> None:
    """Do everything that can be missed."""
    await bench.create(DURING)
    await bench.change(KEPT, "changed")
    for name in (GONE, TWIN):
        await bench.delete(name)
    await bench.create(TWIN)
