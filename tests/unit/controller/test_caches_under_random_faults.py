"""Caches and what their handlers are told, while everything happens that can, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest
from tests.unit.controller.mirror import Mirror, identity

from hybridpg.controller import (
    NAMESPACES,
    Client,
    ControllerError,
    Informer,
    JsonObject,
    KubeObject,
    ObjectKey,
    Resource,
)
from hybridpg.controller.testing import FakeCluster, run_virtual
from hybridpg.controller.testing.cluster import RecordedRequest

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
STEPS = 120
PAUSES = (0.0, 0.0, 0.0, 0.1, 1.0, 10.0, 100.0)
LONGEST = 900.0
"""Virtual seconds after the last fault in which every back-off has ended."""


def value(obj: KubeObject) -> str:
    return str(obj.decode()["data"]["value"]) if "data" in obj.decode() else ""


def label(obj: KubeObject) -> str:
    return str(obj.decode()["metadata"].get("labels", {}).get("x", ""))


def asks_for_a_list(request: RecordedRequest) -> bool:
    streamed = dict(request.query).get("sendInitialEvents") == "true"
    return request.path.endswith("/configmaps") and (request.method == "GET" or streamed)


class World:
    """A cluster in which a user and accidents change things; both are dice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.cluster = FakeCluster(seed=seed)
        self.client = Client(self.cluster)

    async def step(self) -> None:
        if self.dice.random() < 0.3:
            self.dice.choice(self.accidents())()
        else:
            try:
                async with asyncio.timeout(200):
                    await self.use()
            except (ControllerError, TimeoutError):
                return  # faults strike the user, too; he tries something else
        await asyncio.sleep(self.dice.choice(PAUSES))

    def accidents(self) -> list[Callable[[], object]]:
        faults, dice = self.cluster.faults, self.dice
        return [
            lambda: faults.cut_watch(after=dice.randint(0, 3), times=dice.randint(1, 6)),
            lambda: faults.cut_watch(after=dice.randint(0, 3), reset=True, times=3),
            lambda: faults.expire_watch(after=dice.randint(0, 3), times=dice.randint(1, 4)),
            self.cluster.compact,
            self.cluster.drop_watches,
            self.lose_history,
            lambda: faults.refused(times=dice.randint(1, 5)),
            lambda: faults.too_many_requests(retry_after=2, times=3),
            lambda: faults.server_error(times=3),
            lambda: faults.lost_before(times=3),
            lambda: faults.lost_after(times=3),
            lambda: faults.delay(dice.choice([1, 20, 80]), times=4),
            self.forget_streaming,
            faults.clear,
        ]

    def lose_history(self) -> None:
        self.cluster.compact()
        self.cluster.drop_watches()

    def forget_streaming(self) -> None:
        """Refuse the next streamed list as a server does that knows none; the cache remembers."""
        self.cluster.faults.error(422, "Invalid", method="WATCH", times=self.dice.randint(1, 3))

    async def use(self) -> None:
        dice, client = self.dice, self.client
        key = ObjectKey(dice.choice(("default", "kube-system", "one")), dice.choice("abcde"))
        body: JsonObject = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**msgspec.structs.asdict(key), "labels": {"x": dice.choice("12")}},
            "data": {"value": dice.choice("0123")},
        }
        verb = dice.choice(("create", "create", "update", "delete", "replace"))
        if verb == "update":
            await client.update(CONFIG_MAPS, key, body)
            return
        if verb != "create":
            await client.delete(CONFIG_MAPS, key)
        if verb != "delete":
            await client.create(CONFIG_MAPS, body, namespace=key.namespace)

    async def truth(self) -> list[KubeObject]:
        self.cluster.faults.clear()
        await asyncio.sleep(LONGEST)
        return (await self.client.list(CONFIG_MAPS)).items


async def live(seed: int) -> None:
    world = World(seed)
    await world.client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "one"}}
    )
    some = ("default", "one")
    views: list[tuple[Informer, Callable[[KubeObject], bool]]] = [
        (Informer(world.client, CONFIG_MAPS), lambda _: True),
        (Informer(world.client, CONFIG_MAPS, namespaces=some), lambda obj: obj.namespace in some),
        (Informer(world.client, CONFIG_MAPS, label_selector="x=1"), lambda obj: label(obj) == "1"),
    ]
    mirrors = [Mirror() for _ in views]
    for (informer, _), mirror in zip(views, mirrors, strict=True):
        informer.add_index("value", lambda obj: [value(obj)])
        informer.add_handler(mirror)
    tasks = [asyncio.create_task(informer.run()) for informer, _ in views]
    late = Mirror()
    for step in range(STEPS):
        await world.step()
        if step == STEPS // 2:
            views.append(views[0])
            mirrors.append(late)
            views[0][0].add_handler(late)
    truth = await world.truth()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    asked = [each for each in world.cluster.requests if asks_for_a_list(each)]
    assert asked[0].method == "WATCH"  # lists are streamed unless the server refuses it
    for (informer, selects), mirror in zip(views, mirrors, strict=True):
        wanted = [obj for obj in truth if selects(obj)]
        expected = sorted(map(identity, wanted))
        assert mirror.wrong == []
        assert sorted(map(identity, informer.store.list())) == expected
        assert sorted(map(identity, mirror.objects.values())) == expected
        for each in "0123":
            found = informer.store.by_index("value", each)
            assert {obj.key for obj in found} == {obj.key for obj in wanted if value(obj) == each}


@pytest.mark.parametrize("seed", range(25))
def test_a_cache_and_its_handlers_end_up_with_the_truth_and_were_never_told_nonsense(seed):
    """H19."""
    run_virtual(live(seed))
