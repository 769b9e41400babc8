"""Caps per namespace: exact at every moment, and never at the cost of what runs."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hybridpg.app.kinds import SERVERS

from .test_binding import forge, settled, wake
from .world import World

pytestmark = pytest.mark.virtual_time


def capped(**policy: Any) -> World:
    return World({"namespaces": {"te*": policy}})


@asynccontextmanager
async def operating(world: World):
    await world.prepare()
    async with world.operator():
        yield world


async def settled_names(world: World, names: list[str]) -> dict[str, str]:
    """Wait until each server is Ready or refused, and return why."""
    found: dict[str, str] = {}

    async def decided() -> bool:
        for name in names:
            found[name] = (await world.condition(SERVERS, name)).get("reason", "")
        return all(reason in ("Available", "QuotaExceeded") for reason in found.values())

    await world.until(decided)
    return found


@pytest.mark.parametrize(
    ("limits", "size"),
    [
        pytest.param({"servers": 3}, {}, id="servers"),
        pytest.param({"storageGB": 30}, {"storageGB": 10}, id="storage"),
        pytest.param({"cpu": 7}, {"cpu": 2}, id="cpu"),
    ],
)
async def test_servers_created_at_once_never_exceed_a_cap(limits, size):
    """M11: the cache lags behind, and sixteen workers ask at the same time."""
    world = capped(limits=limits)
    await world.prepare()
    names = [f"pg-{number}" for number in range(12)]
    await asyncio.gather(*(world.server(name, size=size) for name in names))
    async with world.operator():
        found = await settled_names(world, names)
    assert sorted(found.values()) == ["Available"] * 3 + ["QuotaExceeded"] * 9
    assert len(world.target.servers) == 3


async def test_a_deleted_server_gives_its_share_back():
    """M11."""
    async with operating(capped(limits={"servers": 1})) as world:
        await world.server("one", deletionPolicy="Delete")
        await world.ready(SERVERS, "one")
        await world.server("two")
        await world.reason(SERVERS, "two", "QuotaExceeded")
        await world.delete(SERVERS, "one")
        await world.gone(SERVERS, "one")
        await wake(world, SERVERS, "two")
        await world.ready(SERVERS, "two")


async def test_growth_over_a_cap_is_refused_and_the_server_stays_usable():
    """M11: the rest of the spec is applied all the same."""
    async with operating(capped(limits={"storageGB": 30})) as world:
        await world.server("one", size={"storageGB": 10})
        await world.ready(SERVERS, "one")
        await world.server("two", size={"storageGB": 10})
        await world.ready(SERVERS, "two")
        await world.patch(SERVERS, "one", {"spec": {"size": {"storageGB": 25}}})

        async def refused() -> bool:
            synced = await world.condition(SERVERS, "one", "Synced")
            return bool(synced.get("reason") == "QuotaExceeded")

        await world.until(refused)
        synced = await world.condition(SERVERS, "one", "Synced")
        assert "spec.size.storageGB: namespace team may have 30 storageGB" in synced["message"]
        assert (await world.condition(SERVERS, "one"))["status"] == "True"
        assert world.target.servers["team-one"].storage <= 10

        # what was refused does not count against others
        await world.patch(SERVERS, "two", {"spec": {"size": {"storageGB": 20}}})
        await world.until(grown(world, "team-two", 20))


def grown(world: World, server: str, storage: int):
    async def check() -> bool:
        return bool(world.target.servers[server].storage == storage)

    return check


async def test_two_servers_that_grow_at_once_stay_within_the_cap():
    """M11."""
    world = capped(limits={"storageGB": 30})
    async with operating(world):
        for name in ("one", "two"):
            await world.server(name, size={"storageGB": 10})
            await world.ready(SERVERS, name)
        wider = {"spec": {"size": {"storageGB": 20}}}
        await asyncio.gather(*(world.patch(SERVERS, name, wider) for name in ("one", "two")))
        await asyncio.sleep(5)
        reasons = [(await world.condition(SERVERS, n, "Synced"))["reason"] for n in ("one", "two")]
    assert sorted(reasons) == ["Available", "QuotaExceeded"]
    assert [s.storage for s in world.target.servers.values()].count(20) == 1


async def test_a_refused_growth_stays_refused_after_a_restart():
    """M11: what was admitted is in status."""
    world = capped(limits={"storageGB": 20})
    await world.prepare()
    async with world.operator():
        await world.server(size={"storageGB": 10})
        await world.ready(SERVERS, "pg")
    await world.patch(SERVERS, "pg", {"spec": {"size": {"storageGB": 50}}})
    async with world.operator():
        await asyncio.sleep(5)
        synced = await world.condition(SERVERS, "pg", "Synced")
        assert synced["reason"] == "QuotaExceeded"
        status = (await world.get(SERVERS, "pg"))["status"]
    assert status["effective"]["size"] == {"storageGB": 10}
    assert world.target.servers["team-pg"].storage < 50


async def test_a_cap_that_is_lowered_touches_nothing_that_runs():
    """M11."""
    world = capped(limits={"cpu": 8})
    await world.prepare()
    async with world.operator():
        await world.server(size={"cpu": 8})
        await world.ready(SERVERS, "pg")
        before = world.target.calls["create_or_update_server"]
    world.config = capped(limits={"cpu": 2, "servers": 0}).config
    async with world.operator():
        await settled(world, SERVERS, "pg")
        synced = await world.condition(SERVERS, "pg", "Synced")
    assert synced["status"] == "True"
    assert world.target.calls["create_or_update_server"] == before


async def test_a_forged_binding_does_not_get_around_a_cap():
    """M8, M11."""
    world = capped(limits={"servers": 1})
    await world.prepare()
    async with world.operator():
        await world.server("one")
        await world.ready(SERVERS, "one")
    await world.server("two")
    await forge(world, SERVERS, "two", backend="memory", externalName="team-two")
    async with world.operator():
        await world.reason(SERVERS, "two", "QuotaExceeded")
    assert list(world.target.servers) == ["team-one"]


async def test_a_wiped_status_gives_no_share_back():
    """M8, M11."""
    async with operating(capped(limits={"servers": 1})) as world:
        await world.server("one")
        await world.ready(SERVERS, "one")
        await forge(world, SERVERS, "one", backend=None, externalName=None)
        await world.server("two")
        await world.reason(SERVERS, "two", "QuotaExceeded")
    assert list(world.target.servers) == ["team-one"]


async def test_a_class_that_is_not_allowed_is_refused_with_those_that_are():
    """M11."""
    async with operating(capped(allowed_classes=["small", "medium"])) as world:
        await world.server(size={"class": "huge"})
        condition = await world.reason(SERVERS, "pg", "InvalidSpec")
        assert "spec.size.class: class 'huge' is not allowed" in condition["message"]
        assert "allowed: small, medium" in condition["message"]
        await world.patch(SERVERS, "pg", {"spec": {"size": {"class": "small"}}})
        await world.ready(SERVERS, "pg")


async def test_a_server_keeps_its_class_when_it_asks_for_one_that_is_not_allowed():
    """M11."""
    async with operating(capped(allowed_classes=["small"])) as world:
        await world.server(size={"class": "small"})
        await world.ready(SERVERS, "pg")
        await world.patch(SERVERS, "pg", {"spec": {"size": {"class": "huge"}}})

        async def refused() -> bool:
            return bool((await world.condition(SERVERS, "pg", "Synced")).get("status") == "False")

        await world.until(refused)
        status = (await world.get(SERVERS, "pg"))["status"]
        assert status["effective"]["size"] == {"class": "small"}
        assert (await world.condition(SERVERS, "pg"))["status"] == "True"
