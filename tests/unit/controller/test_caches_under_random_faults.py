"""Caches and what their handlers are told, while everything happens that can, in any order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

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

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
STEPS = 120
PAUSES = (0.0, 0.0, 0.0, 0.1, 1.0, 10.0, 100.0)
LONGEST = 900.0
"""Virtual seconds after the last fault in which every back-off has ended."""


class Mirror:
    """Knows of the objects only what it is told, and says what it should not have been told."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, KubeObject] = {}
        self.wrong: list[str] = []

    def on_add(self, obj: KubeObject, *, initial: bool) -> None:
        self._check(obj.key not in self.objects, f"{obj.key} was there already")
        self.objects[obj.key] = obj

    def on_update(self, old: KubeObject, new: KubeObject) -> None:
        known = self.objects.get(new.key)
        same = known is not None and identity(known) == identity(old)
        self._check(same, f"{new.key} was another one before")
        self._check(old.uid == new.uid, f"{new.key} became another object")
        forward = int(old.resource_version) < int(new.resource_version)
        self._check(forward, f"{new.key} went back in time")
        self.objects[new.key] = new

    def on_delete(self, obj: KubeObject) -> None:
        known = self.objects.pop(obj.key, None)
        self._check(known is not None and known.uid == obj.uid, f"{obj.key} was not there")

    def _check(self, holds: bool, problem: str) -> None:
        if not holds:
            self.wrong.append(problem)


def identity(obj: KubeObject) -> tuple[ObjectKey, str, str]:
    return obj.key, obj.uid, obj.resource_version


def value(obj: KubeObject) -> str:
    return str(obj.decode()["data"]["value"]) if "data" in obj.decode() else ""


def label(obj: KubeObject) -> str:
    return str(obj.decode()["metadata"].get("labels", {}).get("x", ""))


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
            faults.clear,
        ]

    def lose_history(self) -> None:
        self.cluster.compact()
        self.cluster.drop_watches()

    async def use(self) -> None:
        dice, client = self.dice, self.client
        key = ObjectKey(dice.choice(("default", "kube-system", "one")), dice.choice("abcde"))
        body: JsonObject = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**key._asdict(), "labels": {"x": dice.choice("12")}},
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
    for _ in range(STEPS):
        await world.step()
    truth = await world.truth()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

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
